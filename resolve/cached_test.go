package resolve_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/siptest"
)

// TestTTL holds that answers are kept for their TTL within bounds, by the clock of a bubble. The server
// stands outside of the bubble.
func TestTTL(t *testing.T) {
	tests := []struct {
		name, zone string
		config     resolve.Config
		keeps      time.Duration
		found      bool
	}{
		{"its own", "a.example. 7 A 127.0.1.1", resolve.Config{}, 7 * time.Second, true},
		{"the shortest counts", "_sip._udp.a.example. 20 SRV 0 0 5060 b.example.\nb.example. 9 A 127.0.1.1", resolve.Config{}, 9 * time.Second, true},
		{"alias", "a.example. 8 CNAME b.example.\nb.example. 100 A 127.0.1.1", resolve.Config{}, 8 * time.Second, true},
		{"zero", "a.example. 0 A 127.0.1.1", resolve.Config{}, time.Second, true},
		{"too short", "a.example. 1 A 127.0.1.1", resolve.Config{MinTTL: 5 * time.Second}, 5 * time.Second, true},
		{"too long", "a.example. 86400 A 127.0.1.1\na.example. 86400 SOA a. a. 1 2 3 4 86400\n_sip._udp.a.example. 86400 SRV 0 0 5060 a.example.", resolve.Config{}, time.Hour, true},
		{"no such name", "", resolve.Config{}, 30 * time.Second, false},
		{"no such name, SOA says less", "example. 60 SOA a. a. 1 2 3 4 11", resolve.Config{}, 11 * time.Second, false},
		{"no such name, configured", "", resolve.Config{NegativeTTL: 3 * time.Second}, 3 * time.Second, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := siptest.NewDNS(t, test.zone)
			c := test.config
			c.HostsFile = writeHosts(t, "")
			c.IPv4 = true
			synctest.Test(t, func(t *testing.T) {
				r := newResolver(t, c, d)
				u := uri(t, "sip:a.example;transport=udp")
				_, err := r.Resolve(t.Context(), u)
				if (err == nil) != test.found {
					t.Fatalf("got %v", err)
				}
				asked := d.Total()
				time.Sleep(test.keeps - time.Millisecond)
				if _, ok := r.Cached(u); ok != test.found {
					t.Error("forgotten before its time")
				}
				if _, again := r.Resolve(t.Context(), u); !errors.Is(again, err) || d.Total() != asked {
					t.Errorf("asked again before the time, or got %v", again)
				}
				time.Sleep(2 * time.Millisecond)
				if _, ok := r.Cached(u); ok {
					t.Error("kept beyond its time")
				}
				if _, err := r.Resolve(t.Context(), u); (err == nil) != test.found || d.Total() == asked {
					t.Errorf("not asked again, or got %v", err)
				}
			})
		})
	}
}

// TestAnswerChanges is fault F23: new requests follow the new records when the TTL is over.
func TestAnswerChanges(t *testing.T) {
	d := siptest.NewDNS(t, "a.example. 10 A 127.0.1.1")
	hosts := writeHosts(t, "")
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(t, resolve.Config{HostsFile: hosts}, d)
		u := uri(t, "sip:a.example:5060")
		for _, want := range []string{"udp:127.0.1.1:5060", "udp:127.0.1.2:5060"} {
			if a, err := r.Resolve(t.Context(), u); list(a) != want || a.Stale {
				t.Errorf("got %q, %v, want %q", list(a), err, want)
			}
			d.Set("a.example. 10 A 127.0.1.2")
			time.Sleep(11 * time.Second)
		}
	})
}

// TestStale is fault F25: while no server answers, what was known is used, up to a limit, without waiting
// for the dead server each time; and when the server is back, so is its answer.
func TestStale(t *testing.T) {
	for _, fault := range []siptest.Fault{{Drop: true}, {Rcode: siptest.ServerFailure}} {
		d := siptest.NewDNS(t, "a.example. 10 A 127.0.1.1")
		hosts := writeHosts(t, "")
		synctest.Test(t, func(t *testing.T) {
			r := newResolver(t, resolve.Config{HostsFile: hosts, IPv4: true, Timeout: 300 * time.Millisecond, MaxStale: time.Minute}, d)
			u := uri(t, "sip:a.example:5060")
			if _, err := r.Resolve(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			d.SetFaults(fault)
			time.Sleep(11 * time.Second)
			if _, ok := r.Cached(u); ok {
				t.Error("kept beyond its TTL before anybody asked")
			}
			a, err := r.Resolve(t.Context(), u)
			if err != nil || !a.Stale || list(a) != "udp:127.0.1.1:5060" {
				t.Fatalf("got %+v, %v", a, err)
			}
			asked := d.Total()
			if a, ok := r.Cached(u); !ok || !a.Stale || d.Total() != asked {
				t.Errorf("got %+v, %v, and %d questions more", a, ok, d.Total()-asked)
			}
			time.Sleep(6 * time.Second) // time to try the server again, behind the scenes
			if a, ok := r.Cached(u); !ok || !a.Stale {
				t.Errorf("got %+v, %v", a, ok)
			}
			synctest.Wait()
			waitFor(t, func() bool { return d.Total() > asked })

			d.SetFaults()
			d.Set("a.example. 10 A 127.0.1.2")
			time.Sleep(6 * time.Second)
			waitFor(t, func() bool { a, ok := r.Cached(u); return ok && !a.Stale && list(a) == "udp:127.0.1.2:5060" })

			d.SetFaults(fault)
			time.Sleep(10*time.Second + time.Minute) // TTL and MaxStale
			if a, err := r.Resolve(t.Context(), u); !errors.Is(err, resolve.ErrTemporary) {
				t.Errorf("beyond all limits: %+v, %v", a, err)
			}
			if r.Stats().Stale == 0 {
				t.Error("not counted")
			}
		})
	}
}

// waitFor waits for what real sockets bring about; it runs in a synctest bubble.
func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for range 10_000 {
		if ready() {
			return
		}
		time.Sleep(time.Millisecond) // of a synctest bubble; real time passes in the kernel
		synctest.Wait()
	}
	t.Fatal("it never came")
}

// TestSingleFlight holds that many callers cause one look-up, and that an answer serves other URIs.
func TestSingleFlight(t *testing.T) {
	d := siptest.NewDNS(t, "_sip._udp.a.example. SRV 0 0 5060 b.example.\nb.example. A 127.0.1.1")
	d.SetFaults(siptest.Fault{Delay: 50 * time.Millisecond})
	r := newResolver(t, resolve.Config{IPv4: true}, d)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		// Ends with the look-up.
		go func() {
			defer wg.Done()
			text := "sip:a.example"
			if i%2 == 0 {
				text += ";transport=udp"
			}
			if _, err := r.Resolve(t.Context(), uri(t, text)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	for _, q := range [][2]string{{"a.example", "NAPTR"}, {"_sip._udp.a.example", "SRV"}, {"b.example", "A"}} {
		if n := d.Queries(q[0], q[1]); n != 1 {
			t.Errorf("%d questions for %v", n, q)
		}
	}
	if s := r.Stats(); s.Lookups != 2 || s.Queries != uint64(d.Total()) {
		t.Errorf("%+v and %d questions", s, d.Total())
	}
}

// TestHostsFile holds what the hosts file does and does not do.
func TestHostsFile(t *testing.T) {
	const zone = `
known.example.            A 127.0.1.9
domain.example.           A 127.0.1.9
_sip._udp.domain.example. SRV 0 0 5062 target.example.
target.example.           A 127.0.1.9`
	tests := []struct {
		name, uri, want string
		fault           siptest.Fault
		questions       int // -1: any number
	}{
		{"before DNS", "sip:known.example:5060", "udp:127.0.2.1:5060", siptest.Fault{}, 0},
		{"capital letters", "sip:Known.Example:5060", "udp:127.0.2.1:5060", siptest.Fault{}, 0},
		{"SRV records all the same", "sip:domain.example", "udp:127.0.2.3:5062", siptest.Fault{}, -1},
		{"without SRV records", "sip:only.example", "udp:127.0.2.4:5060 udp:[::1]:5060", siptest.Fault{}, -1},
		{"DNS is dead", "sip:only.example", "udp:127.0.2.4:5060 udp:[::1]:5060", siptest.Fault{Drop: true}, -1},
		{"DNS is broken", "sips:only.example", "tls:127.0.2.4:5061 tls:[::1]:5061", siptest.Fault{Rcode: siptest.Refused}, -1},
		{"localhost by the file", "sip:localhost", "udp:127.0.2.5:5060", siptest.Fault{}, 0},
	}
	hosts := writeHosts(t, "127.0.2.1 known.example\n127.0.2.2 domain.example\n127.0.2.3 target.example # here\n127.0.2.4 only.example\n::1 only.example\n127.0.2.5 localhost\n")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := siptest.NewDNS(t, zone)
			d.SetFaults(test.fault)
			r := newResolver(t, resolve.Config{HostsFile: hosts, Timeout: 300 * time.Millisecond}, d)
			a, err := r.Resolve(t.Context(), uri(t, test.uri))
			if list(a) != test.want || test.questions >= 0 && d.Total() != test.questions {
				t.Errorf("got %q, %v, %d questions", list(a), err, d.Total())
			}
		})
	}
}

// TestHostsFileChanges holds that a change is noticed although answers were kept.
func TestHostsFileChanges(t *testing.T) {
	d := siptest.NewDNS(t, "a.example. 3600 A 127.0.1.9")
	path := writeHosts(t, "")
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(t, resolve.Config{HostsFile: path}, d)
		u := uri(t, "sip:a.example:5060")
		steps := []struct{ text, want string }{
			{"", "udp:127.0.1.9:5060"},
			{"127.0.2.1 a.example", "udp:127.0.2.1:5060"},
			{"127.0.2.22 a.example", "udp:127.0.2.22:5060"},
			{"gone", "udp:127.0.1.9:5060"},
		}
		for _, step := range steps {
			switch step.text {
			case "":
			case "gone":
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			default:
				if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(3 * time.Second)
			if a, err := r.Resolve(t.Context(), u); list(a) != step.want {
				t.Errorf("%q: got %q, %v, want %q", step.text, list(a), err, step.want)
			}
			if a, ok := r.Cached(u); !ok || list(a) != step.want {
				t.Errorf("%q: cached %q", step.text, list(a))
			}
		}
	})
}

// TestDowngrade holds that an operator hears of TLS that vanishes (RFC 3263, Section 7).
func TestDowngrade(t *testing.T) {
	d := siptest.NewDNS(t, "a.example. 5 NAPTR 1 1 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.a.example.\n_sips._tcp.a.example. 5 SRV 0 0 5061 a.example.\na.example. 5 A 127.0.1.1")
	hosts := writeHosts(t, "")
	var log strings.Builder
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(t, resolve.Config{HostsFile: hosts, Logger: slog.New(slog.NewTextHandler(&log, nil))}, d)
		u := uri(t, "sip:a.example")
		for _, want := range []string{"tls:127.0.1.1:5061", "udp:127.0.1.1:5060", "udp:127.0.1.1:5060"} {
			if a, err := r.Resolve(t.Context(), u); list(a) != want {
				t.Errorf("got %q, %v, want %q", list(a), err, want)
			}
			d.Set("a.example. 5 A 127.0.1.1")
			time.Sleep(time.Minute)
		}
		if n := r.Stats().Downgrades; n != 1 {
			t.Errorf("%d downgrades", n)
		}
	})
	if !strings.Contains(log.String(), "no longer offer TLS") || !strings.Contains(log.String(), "peer=a.example") {
		t.Errorf("the log: %s", log.String())
	}
}
