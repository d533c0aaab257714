package load_test

import (
	"errors"
	"testing"

	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/sipaddr"
)

// TestHandshakes has connections come and go beside calls, which a proxy answers.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.proxy(false, "sip:"+s.callee.String()+":5061;transport=tls")
	cfg := s.config(sipaddr.TLS, s.p1)
	cfg.Handshakes = 50
	r := run(t, cfg)
	well(t, r, cfg.Calls)
	if n := r.Messages.Handshakes; n < 5 || int64(n) != r.Latency["handshake"].Count || r.Messages.ConnectionsFailed != 0 {
		t.Errorf("%+v, %+v", r.Messages, r.Latency["handshake"])
	}

	cfg.Target.Transport, cfg.AnswerAt = sipaddr.UDP, nil
	if _, err := load.New(cfg); !errors.Is(err, load.ErrConfig) {
		t.Errorf("handshakes over UDP: %v", err)
	}
}
