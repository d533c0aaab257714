package transport

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// TestAuthErrorText: why comes before the names, so that it is there still when a Warning has no room for all of
// them, and nothing is said twice.
func TestAuthErrorText(t *testing.T) {
	to := sipaddr.Resolved{AddrPort: netip.MustParseAddrPort("192.0.2.7:5061"), Transport: sipaddr.TLS}
	const head = "peer 192.0.2.7:5061 is not authenticated as example.net: "
	for name, tt := range map[string]struct {
		names []string
		err   error
		want  string
	}{
		"expired": {[]string{"a.example", "b.example"}, &identity.VerifyError{Reason: identity.ReasonExpired, Text: `certificate of "x": it ended on 2020-01-01`},
			"certificate of 'x': it ended on 2020-01-01; its certificate has the identities a.example, b.example"},
		"mismatch": {[]string{"a.example"}, &identity.VerifyError{Reason: identity.ReasonMismatch, Text: "certificate of x names a.example, not example.net"},
			"its certificate has the identities a.example"},
		"nameless": {nil, &identity.VerifyError{Reason: identity.ReasonNoIdentity, Text: "certificate of x: it names no SIP domain"},
			"its certificate has no SIP identity (certificate of x: it names no SIP domain)"},
		"unreadable": {nil, errors.New("tls: failed to parse certificate"), "tls: failed to parse certificate"},
		"distrusted": {[]string{"example.net"}, errTrust, errTrust.Error() + "; its certificate has the identities example.net"},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&AuthError{To: to, Reference: "example.net", Names: tt.names, Err: tt.err}).Text()
			if want := head + tt.want; got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if strings.ContainsAny(got, "\"\r\n\\") {
				t.Errorf("%q cannot stand in a Warning", got)
			}
		})
	}
}
