package trace

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transport"
)

// Message is one SIP message that was received or sent. It never changes once it is recorded.
type Message struct {
	// Number grows with each message; messages of different goroutines may be a little out of the order of their times.
	Number uint64
	Time   time.Time
	Sent   bool
	// Transport, Conn (0 over UDP), Local and Remote say where it was received or sent.
	Transport     sipaddr.Transport
	Conn          uint64
	Local, Remote netip.AddrPort
	LocalDomain   string // of a TLS connection
	Peer          string // the configured peer at the far end
	Identity      string // what the far end has proved to be, several with spaces in between
	// Decision says why a request that was sent went there; nil for all others.
	Decision *Decision
	// Problem says what is wrong with a message that was received and cannot be used.
	Problem string

	// The fields below are read from Raw, and empty where it has nothing readable.
	CallID, Branch   string
	Method           string // of a response: that of its CSeq
	CSeq             uint32
	Status           int    // 0 for a request
	Reason           string // behind the status
	RequestURI       string
	From, To         string // their URIs
	FromUser, ToUser string
	OutsideDialog    bool // To has no tag

	// Raw has the bytes, without credentials.
	Raw []byte
}

// Decision says which connection carries a request, and why: the same as the explanation of it.
type Decision struct {
	Hop transport.Hop
	transport.Explanation
}

// maxRows bounds the rows of a decision that are kept.
const maxRows = 8

// Decide makes a Decision.
func Decide(h transport.Hop, x transport.Explanation) *Decision {
	if len(x.Considered) > maxRows {
		x.Considered = slices.Clone(x.Considered[:maxRows])
	}
	return &Decision{h, x}
}

// LogValue says what explain says, in the same words.
func (d *Decision) LogValue() slog.Value {
	rows := make([]string, len(d.Considered))
	for i, v := range d.Considered {
		rows[i] = fmt.Sprintf("%s: connection %d, %s, %s", v.Reason, v.Row.Conn, v.Row.Direction, strings.Join(v.Row.Identities.Names(), " "))
	}
	return slog.GroupValue(slog.String("address", d.Hop.To.String()), slog.String("local_domain", d.Hop.LocalDomain),
		slog.String("reference_identity", d.Hop.Reference), slog.String("basis", d.Hop.Basis.String()), slog.String("action", d.Action.String()),
		slog.String("reason", d.Reason.String()), slog.Uint64("connection", uint64(d.Conn)), slog.Any("rows", rows))
}

// read fills in what Raw says.
func (m *Message) read() {
	p, err := sip.Parse(string(m.Raw)) // a string of its own, which the fields are parts of
	if p == nil {
		return
	}
	if err != nil && m.Problem == "" {
		m.Problem = err.Error()
	}
	m.CallID, m.Branch, m.Status, m.Method = p.CallID(), p.Branch(), p.StatusCode(), p.Method()
	if p.IsRequest() {
		m.RequestURI = p.RequestURI()
	} else {
		m.Reason = p.Reason()
	}
	if c, err := p.CSeq(); err == nil {
		m.CSeq = c.Seq
	}
	if from, err := p.From(); err == nil {
		m.From, m.FromUser = from.Addr, userOf(from.Addr)
	}
	if to, err := p.To(); err == nil {
		m.To, m.ToUser = to.Addr, userOf(to.Addr)
		m.OutsideDialog = to.Tag() == ""
	}
	// p is not released: its fields are in use.
}

func userOf(uri string) string {
	u, err := sip.ParseURI(uri)
	if err != nil {
		return ""
	}
	return u.User
}

func sortByTime(list []*Message) {
	slices.SortStableFunc(list, func(a, b *Message) int { return a.Time.Compare(b.Time) })
}
