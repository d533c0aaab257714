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

// removeAll takes away the header fields with those names, in every spelling (RFC 3325, Section 5).
func removeAll(e *sip.Edit, m *sip.Message, names []string) {
	for _, name := range names {
		if _, ok := m.Header(name); ok {
			e.RemoveAll(name)
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
