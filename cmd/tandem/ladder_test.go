package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// passed is a call through the proxy, and one more that fails.
func passed() []api.TraceMessage {
	at := time.Date(2026, 11, 22, 5, 0, 0, 0, time.Local)
	agent := api.TraceMessage{CallID: "1@a", Transport: "udp", Remote: "192.0.2.1:5060", Method: "INVITE"}
	trunk := api.TraceMessage{CallID: "1@a", Transport: "tls", Remote: "198.51.100.1:5061", Connection: 12, Peer: "partner", Method: "INVITE"}
	with := func(m api.TraceMessage, direction string, status int, reason, uri string, d *api.Way) api.TraceMessage {
		m.Direction, m.Status, m.Reason, m.RequestURI, m.Decision = direction, status, reason, uri, d
		m.Time = at
		at = at.Add(1500 * time.Microsecond)
		return m
	}
	other := agent
	other.CallID, other.Method = "2@a", "OPTIONS"
	return []api.TraceMessage{
		with(agent, "received", 0, "", "sip:bob@example.net", nil),
		with(trunk, "sent", 0, "", "sip:bob@example.net", &api.Way{Action: "dial", Reason: "no_row"}),
		with(trunk, "received", 180, "Ringing", "", nil),
		with(other, "received", 0, "", "sip:\x1b[2Jx", nil),
		with(agent, "sent", 180, "Ringing", "", nil),
	}
}

// TestLadder draws a call, and another one in between.
func TestLadder(t *testing.T) {
	var out strings.Builder
	l := newLadders(&out, 130)
	for _, m := range passed() {
		if err := l.show(&m); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != ladderWanted {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), ladderWanted)
	}
}

const ladderWanted = `
Call-ID: 1@a
                                               tandem
              192.0.2.1:5060
05:00:00.000  |-INVITE sip:bob@example.net---->|  udp
                                               tandem                           partner
              192.0.2.1:5060                                                    tls 198.51.100.1
05:00:00.001  |                                |-INVITE sip:bob@example.net---->|  tls 12, dial: no_row
05:00:00.003  |                                |<-180 Ringing-------------------|  tls 12

Call-ID: 2@a
                                               tandem
              192.0.2.1:5060
05:00:00.004  |-OPTIONS sip:?[2Jx------------->|  udp

Call-ID: 1@a
                                               tandem                           partner
              192.0.2.1:5060                                                    tls 198.51.100.1
05:00:00.006  |<-180 Ringing-------------------|                                |  udp
`

// TestLadderFits: whatever the width, no line is longer, and no text of a peer's is obeyed by the terminal.
func TestLadderFits(t *testing.T) {
	for width := 60; width < 200; width += 7 {
		var out strings.Builder
		l := newLadders(&out, width)
		for _, m := range passed() {
			m.Reason += strings.Repeat(" long", 30)
			if err := l.show(&m); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns where there are %d: %q", n, width, line)
			}
		}
		if strings.ContainsRune(out.String(), '\x1b') {
			t.Errorf("width %d: an escape", width)
		}
	}
	var out strings.Builder
	l := newLadders(&out, 200)
	for i := range 3 * maxParties {
		m := api.TraceMessage{CallID: "1", Transport: "udp", Remote: strings.Repeat("1", i+1), Method: "INVITE", Direction: "sent"}
		if err := l.show(&m); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.calls["1"].parties); n != maxParties {
		t.Errorf("%d columns", n)
	}
	for i := range maxLadders + 10 {
		m := api.TraceMessage{CallID: strings.Repeat("x", i)}
		if err := l.show(&m); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.calls) > maxLadders || len(l.order) > maxLadders {
		t.Errorf("%d ladders are remembered", len(l.calls))
	}
}
