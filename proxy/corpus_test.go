package proxy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
)

// take hands raw bytes to the core as a node does: what cannot be read goes to Malformed.
func (c *client) take(raw string) {
	m, err := sip.Parse(raw)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		c.b.core.Malformed(m, err, c.src)
		return
	}
	if m.IsRequest() {
		m.SetReceived(c.src.Remote.Addr(), c.src.Remote.Port())
	}
	c.b.layer.Receive(m, c.src)
}

// everywhere returns what was sent to anybody but the client.
func (b *bench) everywhere() (out []*sip.Message) {
	for _, f := range b.flows {
		out = append(out, f.take(b.t, 0)...)
	}
	return out
}

// forwards makes a bench whose rules send everything to one agent, so that every name is reached.
func forwards() Config {
	rules := testRules()
	rules.Routes = []Route{{To: routeTargets("sip:198.51.100.7:5070")}}
	return Config{Rules: rules}
}

// TestTorture sends the messages of RFC 4475 through the core.
func TestTorture(t *testing.T) {
	dir := filepath.Join("..", "sip", "testdata", "rfc4475")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Verdict string
		Codes   []int
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	exceptions, err := os.ReadFile(filepath.Join("testdata", "exceptions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range expected {
		if strings.Contains(string(exceptions), "\n"+name+" ") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, name+".dat"))
			if err != nil {
				t.Fatal(err)
			}
			run(t, forwards(), func(b *bench) {
				b.anywhere = "udp:198.51.100.8:5060"
				c := b.client("udp:203.0.113.8:40000", Source{Relay: true, Inside: true, TrustIdentity: true})
				c.take(string(raw))
				got, sent := c.got(), b.everywhere()
				forwarded := len(sent) > 0
				rejected := len(got) == 1 && slices.Contains(want.Codes, got[0].StatusCode())
				ok := false
				switch want.Verdict {
				case "forward":
					ok = forwarded
				case "reject":
					ok = rejected && !forwarded
				case "forward_or_reject":
					ok = forwarded || rejected
				case "drop":
					ok = !forwarded && len(got) == 0
				}
				if !ok {
					t.Errorf("want %s %v; forwarded %d, answered %v", want.Verdict, want.Codes, len(sent), got)
				}
				for _, m := range sent {
					if err := m.Validate(); err != nil {
						t.Errorf("forwarded something bad: %v", err)
					}
				}
			})
		})
	}
}

// TestOwnAttacks sends the hostile messages of the classes that end here through the core, from a peer that may
// relay but is not inside.
func TestOwnAttacks(t *testing.T) {
	dir := filepath.Join("..", "framing", "testdata", "own-attacks")
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, Cls, File string
		Expect        struct {
			Status []int
			Fwd    []string
			Never  []string
		}
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	classes := []string{"route", "uri", "trust-header", "via", "response", "smuggle"}
	n := 0
	for _, tt := range cases {
		if !slices.Contains(classes, tt.Cls) {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, tt.File))
		if err != nil {
			continue // kept by the room that the case is for
		}
		n++
		t.Run(tt.ID, func(t *testing.T) {
			rules := testRules()
			rules.Served = []Domain{{Name: "p.example.org"}}
			rules.Routes = nil
			run(t, Config{Rules: rules}, func(b *bench) {
				b.names["b.example.net"] = []string{"tls:198.51.100.7:5061"}
				b.names["localhost"] = []string{"udp:127.0.0.1:5060"}
				c := b.client("tls:203.0.113.5:40000", Source{Relay: true, Reference: "a.example.com"})
				c.take(string(raw))
				for _, m := range c.got() {
					if !slices.Contains(tt.Expect.Status, m.StatusCode()) {
						t.Errorf("answered %d, want one of %v", m.StatusCode(), tt.Expect.Status)
					}
				}
				for _, m := range b.everywhere() {
					if !slices.Contains(tt.Expect.Fwd, m.CallID()) {
						t.Errorf("forwarded %s", m.CallID())
					}
					for _, never := range tt.Expect.Never {
						if strings.Contains(m.Raw(), never) {
							t.Errorf("forwarded %q", never)
						}
					}
				}
				for _, h := range b.hops {
					if isSpecial(h.To.Addr()) {
						t.Errorf("asked for a connection to %v", h.To)
					}
				}
			})
		})
	}
	if n == 0 {
		t.Error("no case of these classes is at hand")
	}
}
