package proxy

// RFC 3325: header fields that only those inside the trust domain may set, and may see.

import (
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// trusts reports whether the far end of a flow is inside the trust domain. A flow that does not say is.
func trusts(f Flow) bool {
	t, ok := f.(interface{ TrustIdentity() bool })
	return !ok || t.TrustIdentity()
}

// headerSet is a set of header fields made ready to be looked for.
type headerSet struct {
	known   []sip.Field
	others  []string
	lengths uint64 // a bit for the length of each of the others, modulo 64
}

func headers(names []string) (s headerSet) {
	for _, name := range names {
		if f := sip.FieldOf(name); f != sip.FieldOther {
			s.known = append(s.known, f)
			continue
		}
		s.others = append(s.others, name)
		s.lengths |= 1 << (len(name) % 64)
	}
	return s
}

// removeAll takes away the header fields of a set, in every spelling (RFC 3325, Section 5).
func removeAll(e *sip.Edit, m *sip.Message, s *headerSet) {
	for _, f := range s.known {
		if m.Count(f) > 0 {
			e.RemoveAll(f.String())
		}
	}
	if len(s.others) == 0 || m.Count(sip.FieldOther) == 0 {
		return
	}
	var lengths uint64 // of the names that are there
	for name := range m.Lines() {
		lengths |= 1 << (len(name) % 64)
	}
	if lengths&s.lengths == 0 {
		return
	}
	for _, other := range s.others {
		if _, ok := m.Header(other); ok {
			e.RemoveAll(other)
		}
	}
}

// removePrivate takes away the asserted identity before a message leaves the trust domain, if its user wants it
// kept inside (RFC 3325, Section 7).
func removePrivate(e *sip.Edit, m *sip.Message) {
	if _, ok := m.Header("P-Asserted-Identity"); !ok {
		return
	}
	for name, value := range m.Lines() {
		if !strings.EqualFold(name, "Privacy") {
			continue
		}
		for token := range strings.FieldsFuncSeq(value, func(r rune) bool { return r <= ' ' || r == ';' || r == ',' }) {
			if strings.EqualFold(token, "id") {
				e.RemoveAll("P-Asserted-Identity")
				return
			}
		}
	}
}
