package proxy

import (
	"errors"
	"testing"

	"github.com/tandem-sip/tandem/sip"
)

func TestSecured(t *testing.T) {
	for in, want := range map[string]string{
		"sips:h.example":                    "sips:h.example",
		"sip:h.example:5070":                "sips:h.example:5070",
		"sip:u@h.example;transport=tls;x=y": "sips:u@h.example;x=y",
		"sip:h.example;transport=tcp":       "sips:h.example;transport=tcp",
		"sip:h.example;transport=tls-sctp":  "sips:h.example;transport=sctp",
		"sip:h.example;transport=udp":       "",
		"sip:h.example;transport=pigeon":    "",
		"tel:+1":                            "",
	} {
		u, err := sip.ParseURI(in)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if s := secured(u); s != nil {
			got = s.String()
		}
		if got != want {
			t.Errorf("%s secured is %q, want %q", in, got, want)
		}
		if u.String() != in {
			t.Errorf("%s was changed to %s", in, u)
		}
	}
}

func TestRequestURIWithoutWhatItMustNotHave(t *testing.T) {
	for in, want := range map[string]string{
		"sip:u@h.example;lr":                       "sip:u@h.example;lr",
		"sip:u@h.example;method=INVITE;x=y":        "sip:u@h.example;x=y",
		"sip:u@h.example?Route=%3Csip:evil%3E":     "sip:u@h.example",
		"sip:h.example;a;METHOD=BYE;maddr=1.2.3.4": "sip:h.example;a;maddr=1.2.3.4",
	} {
		u, err := sip.ParseURI(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := requestURI(u, in); got != want {
			t.Errorf("%s became %q, want %q", in, got, want)
		}
	}
}

func TestSecuredRequestGoesOverTLS(t *testing.T) {
	// RFC 3261, Section 16.6 item 7: whatever URI is looked up, it is taken for a SIPS URI.
	run(t, Config{}, func(b *bench) {
		c := b.inside()
		c.send(c.request("MESSAGE", "sips:bob@far.example", "Route: <sip:192.0.2.77;lr>"))
		req := b.at("tls:192.0.2.77:5061").one("MESSAGE")
		if got := routes(req, sip.FieldRoute); got != "<sip:192.0.2.77;lr>" {
			t.Errorf("Route %q was changed", got)
		}
	})
}

func TestTelWithRoute(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.inside()
		c.send(c.request("INVITE", "tel:+15551234", "Route: <sip:192.0.2.77;lr>"))
		if req := b.at("udp:192.0.2.77:5060").one("INVITE"); req.RequestURI() != "tel:+15551234" {
			t.Errorf("Request-URI %q", req.RequestURI())
		}
	})
}

func TestTargetRefreshInsideARelayingSource(t *testing.T) {
	// A new Contact has no token, as route sets stay as they are (RFC 3261, Section 12.2): who may relay goes on.
	run(t, Config{}, func(b *bench) {
		c := b.peer()
		callID, route, _ := dialogOf(b, c, "<sip:gw@203.0.113.5;transport=tls>")
		c.send(c.request("BYE", "sip:bob@192.0.2.200", "Route: "+route, "Call-ID: "+callID, "To: <sip:b@example.com>;tag=b1"))
		b.at("udp:192.0.2.200:5060").one("BYE")
	})
}

func TestReplayWithoutANewConnection(t *testing.T) {
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(firstAddr).one("INVITE")
		b.refused[firstAddr] = errors.New("refused")
		b.at(firstAddr).breakFlow()
		b.at(secondAddr).answer(b.at(secondAddr).one("INVITE"), 200)
		c.expect("200")
	})
}
