package load_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/sipaddr"
)

// TestHandshakes has connections come and go beside calls, which a proxy answers.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	for _, tr := range []sipaddr.Transport{sipaddr.TLS, sipaddr.SCTP, sipaddr.TLSSCTP} {
		t.Run(tr.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.proxy(false, fmt.Sprintf("sip:%s:%d;transport=%s", s.callee, tr.DefaultPort(), tr.URIParam()))
			cfg := s.config(tr, s.p1)
			cfg.Handshakes = 50
			r := run(t, cfg)
			well(t, r, cfg.Calls)
			if n := r.Messages.Handshakes; n < 5 || int64(n) != r.Latency["handshake"].Count || r.Messages.ConnectionsFailed != 0 {
				t.Errorf("%+v, %+v", r.Messages, r.Latency["handshake"])
			}
		})
	}
	cfg := load.Config{Target: load.Endpoint{Transport: sipaddr.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:5060")}, Handshakes: 50}
	if _, err := load.New(cfg); !errors.Is(err, load.ErrConfig) {
		t.Errorf("handshakes over UDP: %v", err)
	}
}
