package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
)

// run places calls in a lab of its own and returns what Run printed, too.
func run(t *testing.T, opts Options) (*Result, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	opts.Once = true
	var out bytes.Buffer
	r, err := Run(ctx, opts, &out, true)
	if err != nil {
		t.Fatal(err)
	}
	return r, out.Bytes()
}

// TestFigure4 places calls both ways and looks for one connection, which both tables name.
func TestFigure4(t *testing.T) {
	r, out := run(t, Options{Calls: 40, Rate: 100})
	for name, d := range map[string]Direction{"forward": r.Forward, "backward": r.Backward} {
		if d.Calls != 40 || d.Failed != 0 || d.Answered != 40 {
			t.Errorf("%s: %+v", name, d)
		}
		if d.Ringing.P50 <= 0 || d.Ringing.Max < d.Ringing.P99 || d.Ringing.P99 < d.Ringing.P50 {
			t.Errorf("%s: INVITE to 180: %+v", name, d.Ringing)
		}
	}
	if r.TLSConnections == nil {
		t.Logf("connections were not counted: %s", r.TLSConnectionsUnknown)
	} else if *r.TLSConnections != 1 {
		t.Errorf("%d TLS connections between the proxies, want 1", *r.TLSConnections)
	}
	if r.Handshakes != 1 || r.Forward.Dialed != 1 || r.Backward.Dialed != 0 || r.Backward.Reused != 40 {
		t.Errorf("%d handshakes, dialed %d forward and %d backward, reused backward %d; want 1, 1, 0, 40",
			r.Handshakes, r.Forward.Dialed, r.Backward.Dialed, r.Backward.Reused)
	}
	if r.Unexpected != 0 {
		t.Errorf("%d unexpected messages: %q", r.Unexpected, r.UnexpectedTexts)
	}
	checkTables(t, r)

	var read struct {
		Forward, Backward struct{ Calls, Failed *int }
		TLSConnections    *int `json:"tls_connections"`
		Handshakes        *int `json:"handshakes"`
		Aliases           []map[string]any
	}
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	if read.Forward.Calls == nil || *read.Forward.Calls != 40 || read.Backward.Failed == nil || read.Handshakes == nil || len(read.Aliases) != 2 {
		t.Errorf("the JSON lacks something: %s", out)
	}
	for _, key := range []string{"proxy", "local_domain", "ip", "port", "transport", "identities", "connection", "direction"} {
		for i, row := range read.Aliases {
			if row[key] == nil {
				t.Errorf("aliases[%d] has no %s", i, key)
			}
		}
	}
}

// checkTables compares both alias tables with those of RFC 5923, Section 5.
func checkTables(t *testing.T, r *Result) {
	t.Helper()
	if len(r.Aliases) != 2 {
		t.Fatalf("%d alias rows, want one in each table: %+v", len(r.Aliases), r.Aliases)
	}
	for i, want := range []struct {
		direction  alias.Direction
		identities string
	}{
		{alias.Dialed, "example.net p2.example.net"},
		{alias.Accepted, "example.com p1.example.com"},
	} {
		row, far := r.Aliases[i], r.place.sides[1-i]
		if row.Proxy != proxyNames[i] || row.LocalDomain != domainNames[i] || row.IP != far.proxy || row.Port != far.tls ||
			row.Transport != r.Transport || row.Direction != want.direction || strings.Join(row.Identities, " ") != want.identities || row.Connection == 0 {
			t.Errorf("row of %s: %+v", proxyNames[i], row)
		}
	}
}

// TestOverSCTP places calls both ways over one association with TLS, and over two without.
func TestOverSCTP(t *testing.T) {
	t.Run("seed-tls-sctp", func(t *testing.T) {
		r, _ := run(t, Options{Calls: 20, Rate: 100, Transport: sipaddr.TLSSCTP})
		if r.Failed() != 0 || r.Forward.Answered != 20 || r.Backward.Answered != 20 || r.Unexpected != 0 {
			t.Errorf("%+v", r)
		}
		if *r.Associations != 1 || len(r.Connections) != 2 || r.Handshakes != 1 || r.Forward.Dialed != 1 || r.Backward.Dialed != 0 || r.Backward.Reused != 20 {
			t.Errorf("%d associations, %d handshakes, dialed %d and %d", *r.Associations, r.Handshakes, r.Forward.Dialed, r.Backward.Dialed)
		}
		checkTables(t, r)
	})
	t.Run("seed-sctp-pair", func(t *testing.T) {
		r, _ := run(t, Options{Calls: 20, Rate: 100, Transport: sipaddr.SCTP})
		if r.Failed() != 0 || r.Forward.Answered != 20 || r.Backward.Answered != 20 || r.Unexpected != 0 {
			t.Errorf("%+v", r)
		}
		if *r.Associations != 2 || *r.OpenBefore != 2 || r.Handshakes != 0 || r.Forward.Dialed != 1 || r.Backward.Dialed != 1 || len(r.Aliases) != 0 {
			t.Errorf("%d associations, %d before the first call, %d handshakes, dialed %d and %d, %d rows", *r.Associations, *r.OpenBefore, r.Handshakes, r.Forward.Dialed, r.Backward.Dialed, len(r.Aliases))
		}
	})
}

// TestSideBySide runs two labs at once: neither may touch the other's addresses.
func TestSideBySide(t *testing.T) {
	a, err := Start(Options{Calls: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Start(Options{Calls: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for name, l := range map[string]*Lab{"first": a, "second": b} {
		r, err := l.Call(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOneAddress builds the figure as on a system that has 127.0.0.1 alone: on free ports, which the
// SRV records and sent-by then name.
func TestOneAddress(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	found, err := bindPlace(place{dns: netip.AddrPortFrom(here, 0), sides: [2]spot{{proxy: here, agents: here}, {proxy: here, agents: here}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	l, err := startAt(found, Options{Calls: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := l.Call(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if r.Handshakes != 1 || r.TLSConnections != nil && *r.TLSConnections != 1 {
		t.Errorf("%d handshakes, want 1; in the kernel %v", r.Handshakes, r.TLSConnections)
	}
	checkTables(t, r)
}

func TestRunIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Calls: 5, Rate: 1}, &bytes.Buffer{}, false); err == nil {
		t.Error("a lab whose context was done did not say so")
	}
}

// TestWatch ends a lab that stays up, and looks at what it showed.
func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &lines{want: "press Ctrl-C", found: cancel}
	if _, err := Run(ctx, Options{Calls: 2}, out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 TLS connection", "sip:p2.example.net", "dialed", "accepted"} {
		if !strings.Contains(out.text, want) {
			t.Errorf("%q is not in what was shown:\n%s", want, out.text)
		}
	}
}

// lines calls found as soon as want was written.
type lines struct {
	text, want string
	found      func()
}

func (l *lines) Write(p []byte) (int, error) {
	l.text += string(p)
	if strings.Contains(l.text, l.want) {
		l.found()
	}
	return len(p), nil
}
