package alias

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// model is the plain table: a list of rows, newest first, and the two conditions of
// RFC 5923, Section 8.1 and RFC 5923, Section 8.2 read off it. There is nothing in it that could be
// wrong and not be seen.
type model struct {
	local   string
	cfg     Config
	rows    []Row
	closing map[ConnID]bool
}

func (m *model) add(r Row) Reason {
	mine, all := 0, len(m.rows)
	same := -1
	for i, o := range m.rows {
		if o.Conn == r.Conn {
			mine++
			if o.Resolved == r.Resolved {
				same = i
			}
		}
	}
	switch {
	case r.Resolved.Transport != sipaddr.TLS && r.Resolved.Transport != sipaddr.TLSSCTP:
		return NotTLS
	case r.Identities.Len() == 0:
		return Unauthenticated
	case r.LocalDomain != m.local:
		return OtherLocalDomain
	case m.closing[r.Conn]:
		return Closing
	case same >= 0:
		m.rows[same] = r
		return Reuse
	case mine >= m.cfg.MaxRowsPerConn || all >= m.cfg.MaxRows:
		return TooManyRows
	}
	m.rows = slices.Insert(m.rows, 0, r)
	n, oldest := 0, 0
	for i, o := range m.rows {
		if o.Resolved == r.Resolved && o.Fingerprint == r.Fingerprint {
			n, oldest = n+1, i
		}
	}
	if n > m.cfg.MaxRowsPerPeer {
		m.rows = slices.Delete(m.rows, oldest, oldest+1)
	}
	return Reuse
}

func (m *model) find(to sipaddr.Resolved, reference string, now time.Time) ConnID {
	for i, r := range m.rows {
		usable := r.Resolved == to && slices.Contains(r.Identities.Names(), reference)
		if usable && !m.closing[r.Conn] && !now.After(r.NotAfter) {
			m.rows[i].LastUsed = now
			return r.Conn
		}
	}
	return 0
}

func (m *model) remove(id ConnID) {
	m.rows = slices.DeleteFunc(m.rows, func(r Row) bool { return r.Conn == id })
	delete(m.closing, id)
}

var (
	modelDomains = []string{"example.com", "example.net"} // local
	modelNames   = []string{"a.example", "b.example", "c.example", "sub.a.example"}
	modelAddrs   = []sipaddr.Resolved{
		{AddrPort: netip.MustParseAddrPort("192.0.2.1:5061"), Transport: sipaddr.TLS},
		{AddrPort: netip.MustParseAddrPort("192.0.2.1:5062"), Transport: sipaddr.TLS},
		{AddrPort: netip.MustParseAddrPort("192.0.2.1:5061"), Transport: sipaddr.TLSSCTP},
		{AddrPort: netip.MustParseAddrPort("[2001:db8::1]:5061"), Transport: sipaddr.TLS},
		{AddrPort: netip.MustParseAddrPort("192.0.2.1:5061"), Transport: sipaddr.TCP},
	}
)

// steps are what a run draws its choices from: rapid, or the bytes of a fuzzer.
type steps interface {
	draw(what string, n int) int // 0 to n-1
	more() bool
	fail(format string, args ...any)
}

// run takes steps on a table for each local domain and on the models, and compares every answer.
// No wrong reuse: what the table says to reuse, the model does. No missed one: the reverse.
func run(s steps) {
	cfg := Config{MaxRowsPerConn: 3, MaxRowsPerPeer: 3, MaxRows: 12}
	var tables []*Table
	var models []*model
	for _, d := range modelDomains {
		tables = append(tables, New(d, cfg))
		models = append(models, &model{local: d, cfg: cfg, closing: make(map[ConnID]bool)})
	}
	now := testNow
	for s.more() {
		i := s.draw("local domain", len(tables))
		table, m := tables[i], models[i]
		conn := ConnID(1 + s.draw("connection", 8))
		switch s.draw("step", 8) {
		case 0, 1, 2:
			mask := s.draw("identities", 1<<len(modelNames))
			r := Row{
				Resolved:    modelAddrs[s.draw("address", len(modelAddrs))],
				Identities:  setOf(mask),
				LocalDomain: modelDomains[s.draw("row's domain", len(modelDomains))],
				Fingerprint: [32]byte{byte(mask)},
				NotAfter:    now.Add(time.Duration(s.draw("minutes left", 10)) * time.Minute),
				Conn:        conn,
				Direction:   Direction(s.draw("direction", 2)),
				MadeBy:      "call",
				LastUsed:    now,
			}
			added, reason := table.Add(r)
			if want := m.add(r); reason != want || added != (want == Reuse) {
				s.fail("add %+v: %t %v, want %v", r, added, reason, want)
			}
		case 3, 4, 5:
			to := modelAddrs[s.draw("address", len(modelAddrs))]
			reference := modelNames[s.draw("reference", len(modelNames))]
			explained := table.Explain(to, reference, now)
			got := table.Find(to, reference, now)
			want := m.find(to, reference, now)
			if got.Conn != want || got.Reuse() != (want != 0) || got.Reason == None {
				s.fail("find %v for %s: %+v, want connection %d of %+v", to, reference, got, want, m.rows)
			}
			if explained.Conn != got.Conn || explained.Reason != got.Reason {
				s.fail("find %v for %s: %+v, explained as %+v", to, reference, got, explained)
			}
			for _, v := range explained.Considered {
				if (v.Reason == Reuse) != (v.Row.Identities.Contains(reference) && !m.closing[v.Row.Conn] && !now.After(v.Row.NotAfter)) {
					s.fail("find %v for %s: verdict %+v", to, reference, v)
				}
			}
		case 6:
			table.MarkClosing(conn)
			m.closing[conn] = true
		case 7:
			table.Remove(conn)
			m.remove(conn)
		}
		now = now.Add(time.Duration(s.draw("seconds", 90)) * time.Second)
		if table.Len() != len(m.rows) {
			s.fail("%d rows, want %d", table.Len(), len(m.rows))
		}
		got := table.Rows()
		for _, w := range m.rows {
			at := slices.IndexFunc(got, func(r Row) bool { return r.Conn == w.Conn && r.Resolved == w.Resolved })
			if at < 0 || fmt.Sprint(got[at]) != fmt.Sprint(w) {
				s.fail("row %+v is not among %+v", w, got)
			}
		}
	}
}

// setOf is the set of those names whose bit is in mask.
func setOf(mask int) identity.Set {
	var names []string
	for i, n := range modelNames {
		if mask&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	s, err := identity.NewSet(names...)
	if err != nil {
		panic(err)
	}
	return s
}

type rapidSteps struct {
	t    *rapid.T
	left int
}

func (s *rapidSteps) draw(what string, n int) int     { return rapid.IntRange(0, n-1).Draw(s.t, what) }
func (s *rapidSteps) more() bool                      { s.left--; return s.left >= 0 }
func (s *rapidSteps) fail(format string, args ...any) { s.t.Fatalf(format, args...) }

func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run(&rapidSteps{t: t, left: rapid.IntRange(0, 80).Draw(t, "steps")})
	})
}

type byteSteps struct {
	t    *testing.T
	data []byte
}

func (s *byteSteps) draw(_ string, n int) int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b) % n
}
func (s *byteSteps) more() bool                      { return len(s.data) > 0 }
func (s *byteSteps) fail(format string, args ...any) { s.t.Fatalf(format, args...) }

func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 5, 0, 1, 0, 0, 3, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 5, 0, 1, 0, 1, 0, 2, 0, 0, 5, 0, 1, 0, 0, 6, 1, 0, 0, 3, 0, 0, 1, 0, 0, 7, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		run(&byteSteps{t: t, data: data[:min(len(data), 2000)]})
	})
}
