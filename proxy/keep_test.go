package proxy

import (
	"testing"

	"github.com/tandem-sip/tandem/sip"
)

// keeper is a flow that is willing, or not, to be kept alive.
type keeper struct {
	Flow
	willing bool
}

func (k keeper) Keep() bool { return k.willing }

// TestOffersKeep: keepalives are offered where they can be agreed on: RFC 6223, Section 4.3.
func TestOffersKeep(t *testing.T) {
	tests := []struct {
		method, to string
		flow       Flow
		want       bool
	}{
		{"INVITE", "", keeper{willing: true}, true},
		{"SUBSCRIBE", "", keeper{willing: true}, true},
		{"REGISTER", "", keeper{willing: true}, true},
		{"REGISTER", ";tag=1", keeper{willing: true}, true},
		{"INVITE", ";tag=1", keeper{willing: true}, false}, // inside a dialog
		{"ACK", "", keeper{willing: true}, false},
		{"OPTIONS", "", keeper{willing: true}, false},
		{"INVITE", "", keeper{}, false},
		{"INVITE", "", nil, false},
	}
	for _, tt := range tests {
		m, err := sip.Parse(tt.method + " sip:b@example.net SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\n" +
			"From: <sip:a@example.com>;tag=2\r\nTo: <sip:b@example.net>" + tt.to + "\r\nCall-ID: 1\r\nCSeq: 1 " + tt.method + "\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		p := &plan{req: m, method: tt.method}
		if got := p.offersKeep(tt.flow); got != tt.want {
			t.Errorf("%s%s over %+v: %v, want %v", tt.method, tt.to, tt.flow, got, tt.want)
		}
	}
}
