package proxy

import (
	"testing"

	"github.com/tandem-sip/tandem/sip"
)

// TestClaimOf: what a Route value claims is what its parameters say one by one, however they are written.
func TestClaimOf(t *testing.T) {
	for _, params := range []string{
		"", ";lr", ";lr;td=a;ti=b.example;tl=c;ts=any", ";TD=a;Ts=10.0.0.1", ";td", ";td=1;td=2;ti;ti=x",
		";ti=x;lr", ";%74d=a;ti=x", ";td=a;t%69=x", ";tdx=1;td=2", ";t=1;td=2", ";xd=1;td=2;tl=%41", ";tl=1;ts=2;td=3;ti=4;lr",
	} {
		u, err := sip.ParseURI("sip:p.example.com" + params)
		if err != nil {
			t.Fatalf("%q: %v", params, err)
		}
		var want claim
		var ok bool
		if want.token, ok = u.Param(tokenParam); ok {
			want.reference, _ = u.Param(referenceParam)
			want.domain, _ = u.Param(domainParam)
			want.special, _ = u.Param(specialParam)
		}
		if got, found := claimOf(u); got != want || found != ok {
			t.Errorf("%q: %+v %v, want %+v %v", params, got, found, want, ok)
		}
	}
}
