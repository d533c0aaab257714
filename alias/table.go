package alias

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Config limits a table. The zero value of each field is its default.
type Config struct {
	MaxRowsPerConn int // rows that one connection may have; 0: 8
	MaxRowsPerPeer int // rows of one certificate for one address, of which the oldest gives way; 0: 8
	MaxRows        int // rows of the table; 0: 65536
}

// maxMadeBy is how much of a Call-ID a row keeps, in bytes.
const maxMadeBy = 64

// Table is the alias table of one served domain: RFC 5923, Section 9.3. Make one with New. It
// takes no locks; its owner sees to it that one goroutine at a time uses it.
type Table struct {
	local  string
	cfg    Config
	byAddr map[place]*entry // the first of a list, newest first, but for Prefer
	byConn map[ConnID]*conn
	rows   int
	added  uint64
}

// conn is what the table knows of a connection. A connection that is closing stays known, without
// rows if need be, until Remove, so that no row can be added to it.
type conn struct {
	entries []*entry
	closing bool
}

// New returns an empty table for requests on behalf of localDomain, which may be "" for those that
// are on behalf of no domain.
func New(localDomain string, cfg Config) *Table {
	if cfg.MaxRowsPerConn <= 0 {
		cfg.MaxRowsPerConn = 8
	}
	if cfg.MaxRowsPerPeer <= 0 {
		cfg.MaxRowsPerPeer = 8
	}
	if cfg.MaxRows <= 0 {
		cfg.MaxRows = 65536
	}
	return &Table{
		local:  normalDomain(localDomain),
		cfg:    cfg,
		byAddr: make(map[place]*entry),
		byConn: make(map[ConnID]*conn),
	}
}

// LocalDomain returns the domain of the table, in lower-case A-labels.
func (t *Table) LocalDomain() string { return t.local }

// Len returns the number of rows.
func (t *Table) Len() int { return t.rows }

// Add adds a row, or brings the row of the same connection and address up to date, of which MadeBy
// stays. It reports Reuse for a row that stands, and otherwise why it was not taken. A row never displaces one of another
// certificate: both stand, and the identities decide (RFC 5923, Section 9.3).
func (t *Table) Add(row Row) (added bool, reason Reason) {
	row.Resolved = canonical(row.Resolved)
	if reason := t.acceptable(row); reason != Reuse {
		return false, reason
	}
	row.LocalDomain = t.local
	c := t.byConn[row.Conn]
	if c != nil {
		if c.closing {
			return false, Closing
		}
		for _, e := range c.entries {
			if e.row.Resolved == row.Resolved {
				row.MadeBy = e.row.MadeBy
				e.set(row)
				return true, Reuse
			}
		}
		if len(c.entries) >= t.cfg.MaxRowsPerConn {
			return false, TooManyRows
		}
	}
	if t.rows >= t.cfg.MaxRows {
		return false, TooManyRows
	}
	if c == nil {
		c = &conn{}
		t.byConn[row.Conn] = c
	}
	row.MadeBy = cutMadeBy(row.MadeBy)
	t.added++
	e := &entry{seq: t.added}
	e.set(row)
	c.entries = append(c.entries, e)
	at := placeOf(row.Resolved)
	e.next = t.byAddr[at]
	t.byAddr[at] = e
	t.rows++
	t.thin(row)
	return true, Reuse
}

// acceptable holds a row against what RFC 5923 demands before one is formed.
func (t *Table) acceptable(row Row) Reason {
	switch {
	case row.Conn == 0 || !row.Resolved.IsValid():
		return BadRow
	case !row.Resolved.Transport.Secure():
		return NotTLS // RFC 5923, Section 9.3
	case row.Identities.IsZero():
		return Unauthenticated // RFC 5923, Section 9.2
	case row.LocalDomain != t.local && normalDomain(row.LocalDomain) != t.local:
		return OtherLocalDomain // RFC 5923, Section 9.3
	}
	return Reuse
}

// thin drops the oldest row of an address with the same certificate as row when there are too many
// of them: they all lead to the same peer, and one peer could else make every search long for the
// others behind its address.
func (t *Table) thin(row Row) {
	n := 0
	var oldest *entry
	for e := t.byAddr[placeOf(row.Resolved)]; e != nil; e = e.next {
		if e.row.Fingerprint == row.Fingerprint {
			n++
			oldest = e
		}
	}
	if n > t.cfg.MaxRowsPerPeer {
		t.drop(oldest)
		if c := t.byConn[oldest.id]; len(c.entries) == 0 && !c.closing {
			delete(t.byConn, oldest.id)
		}
	}
}

// Find answers which connection carries a request to the address to, which is where RFC 3263 led
// from a URI whose host is reference: a row of that address that has reference among its identities,
// which are the two conditions of RFC 5923, Section 8.1 and of RFC 5923, Section 8.2. Of several the one that Prefer
// has put first is chosen, else the newest.
// It marks the row as used at now, and does not allocate when reference is ASCII.
func (t *Table) Find(to sipaddr.Resolved, reference string, now time.Time) Decision {
	e, reason := t.search(to, reference, now)
	if e == nil {
		return Decision{Reason: reason}
	}
	e.row.LastUsed = now
	return Decision{Conn: e.id, Reason: Reuse}
}

// search returns the entry that is to be used, or nil and the reason that says most: of the rows
// that are authenticated for the domain, else that there is none.
func (t *Table) search(to sipaddr.Resolved, reference string, now time.Time) (*entry, Reason) {
	if !to.Transport.Secure() {
		return nil, NotTLS
	}
	reason, at := NoRow, now.UnixNano()
	for e := t.byAddr[placeOf(to)]; e != nil; e = e.next {
		switch r := e.judge(reference, at); {
		case r == Reuse:
			return e, Reuse
		case reason == NoRow || reason == IdentityMismatch:
			reason = r
		}
	}
	if reason == IdentityMismatch {
		if _, ok := identity.Normalize(reference); !ok {
			reason = NoReference
		}
	}
	return nil, reason
}

// MarkClosing takes a connection out of use, because no new transaction may start on it
// (RFC 5923, Section 8.3). Its rows stay, to be shown and explained, until Remove.
func (t *Table) MarkClosing(id ConnID) {
	c := t.byConn[id]
	if c == nil {
		c = &conn{}
		t.byConn[id] = c
	}
	c.closing = true
	for _, e := range c.entries {
		e.closing = true
	}
}

// Prefer puts the rows of a connection before the others of their addresses, in the order of choice. A row that
// is added later goes before them.
func (t *Table) Prefer(id ConnID) {
	c := t.byConn[id]
	if c == nil {
		return
	}
	for _, e := range c.entries {
		at := placeOf(e.row.Resolved)
		t.unlink(at, e)
		e.next = t.byAddr[at]
		t.byAddr[at] = e
	}
}

// Remove forgets a connection that is gone, and all its rows.
func (t *Table) Remove(id ConnID) {
	c := t.byConn[id]
	if c == nil {
		return
	}
	for len(c.entries) > 0 {
		t.drop(c.entries[len(c.entries)-1])
	}
	delete(t.byConn, id)
}

// drop takes e out of the table, and leaves its connection known.
func (t *Table) drop(e *entry) {
	c := t.byConn[e.id]
	c.entries = slices.DeleteFunc(c.entries, func(o *entry) bool { return o == e })
	t.unlink(placeOf(e.row.Resolved), e)
	t.rows--
}

// unlink takes e out of the list of its address.
func (t *Table) unlink(at place, e *entry) {
	first := t.byAddr[at]
	if first != e {
		for first.next != e {
			first = first.next
		}
		first.next = e.next
	} else if e.next == nil {
		delete(t.byAddr, at)
	} else {
		t.byAddr[at] = e.next
	}
	e.next = nil
}

// canonical returns a in the form in which it is a key, however it was made.
func canonical(a sipaddr.Resolved) sipaddr.Resolved {
	if a.Addr().Is4In6() {
		a.AddrPort = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}

// normalDomain returns the form in which local domains are compared. One that is no domain name,
// such as an IP address, is compared as it is written.
func normalDomain(domain string) string {
	if name, ok := identity.Normalize(domain); ok {
		return name
	}
	return strings.ToLower(domain)
}

// cutMadeBy returns so much of a Call-ID as a row keeps, in memory of its own, because the Call-ID
// is part of a whole message.
func cutMadeBy(s string) string { return strings.Clone(s[:min(len(s), maxMadeBy)]) }
