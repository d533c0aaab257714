package node_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// reload changes the configuration file of a proxy and puts it into force.
func (p *proxy) reload(t *testing.T, change func(yaml string) string) error {
	t.Helper()
	file := p.Config().File
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		if err := os.WriteFile(file, []byte(change(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	return p.Reload(cfg)
}

// reloads is reload that has to succeed.
func (s *stand) reloads(change func(yaml string) string) {
	s.t.Helper()
	if err := s.p.reload(s.t, change); err != nil {
		s.t.Fatal(err)
	}
}

func replaced(old, with string) func(string) string {
	return func(yaml string) string { return strings.ReplaceAll(yaml, old, with) }
}

// swap puts the contents of one file in the place of another's.
func swap(t *testing.T, path, with string) {
	t.Helper()
	if err := os.Rename(with, path); err != nil {
		t.Fatal(err)
	}
}

// certificateOf finds the files of a domain's certificate in a configuration.
func certificateOf(yaml, domain string) (cert, key string) {
	m := regexp.MustCompile(`name: ` + regexp.QuoteMeta(domain) + `, certificate: ([^,]+), key: ([^,}]+)`).FindStringSubmatch(yaml)
	return m[1], m[2]
}

// shown is the number of the certificate that the proxy shows to far on a connection.
func shown(conn *siptest.Conn) string { return conn.TLS().PeerCertificates[0].SerialNumber.String() }

// load is MESSAGEs from alice to a URI, 300 of them a second.
type load struct {
	s    *stand
	uri  string
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex // guards the field below
	sent map[string]time.Time
}

func (s *stand) load(uri string) *load {
	l := &load{s: s, uri: uri, stop: make(chan struct{}), sent: make(map[string]time.Time)}
	conn := s.alice.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
	l.done.Add(1)
	// Ends when stop is closed.
	go func() {
		defer l.done.Done()
		tick := time.NewTicker(time.Second / 300)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			r := conn.Request(sip.MethodMessage, uri)
			l.mu.Lock()
			l.sent[r.CallID] = time.Now()
			l.mu.Unlock()
			if err := conn.TrySend(r.String()); err != nil {
				s.t.Error(err)
				return
			}
		}
	}()
	return l
}

// answered gives the final answers so far by Call-ID.
func (l *load) answered() map[string]*siptest.Received {
	l.mu.Lock()
	defer l.mu.Unlock()
	finals := make(map[string]*siptest.Received)
	for _, r := range l.s.alice.Received() {
		if r.Message != nil && !r.IsRequest() && r.StatusCode() >= 200 && !l.sent[r.CallID()].IsZero() {
			finals[r.CallID()] = r
		}
	}
	return finals
}

// after waits until that many more are answered.
func (l *load) after(more int) {
	l.s.t.Helper()
	begun := len(l.answered())
	eventually(l.s.t, "the load goes on", func() bool { return len(l.answered()) >= begun+more })
}

// ends stops the load and gives the final answers by Call-ID. There is one to each request.
func (l *load) ends() map[string]*siptest.Received {
	l.s.t.Helper()
	close(l.stop)
	l.done.Wait()
	eventually(l.s.t, "a final answer to every request", func() bool { return len(l.answered()) == len(l.sent) })
	return l.answered()
}

// count counts the finals that fit.
func count(finals map[string]*siptest.Received, fits func(*siptest.Received) bool) (n int) {
	for _, r := range finals {
		if fits(r) {
			n++
		}
	}
	return n
}

// TestReloadCertificate is F16: the proxy's own certificate is changed ten times under load. Every request is
// answered 200 over the connection that there was, a call that began before goes on, and whoever connects anew
// is shown the new certificate, in both roles.
func TestReloadCertificate(t *testing.T) {
	t.Parallel()
	s := newStand(t, plan{})
	conn := s.offered("p2.example.net")
	caller, invite, in := s.invites()
	before := shown(conn)
	l := s.load("sip:bob@example.net")
	l.after(10)
	certFile, keyFile := "", ""
	for range 10 {
		s.reloads(func(yaml string) string {
			certFile, keyFile = certificateOf(yaml, "example.com")
			cert, key := s.ca.Domain(t, "example.com", "p1.example.com").WriteFiles(t)
			swap(t, certFile, cert)
			swap(t, keyFile, key)
			return yaml
		})
		l.after(10)
	}
	for id, final := range l.ends() {
		if final.StatusCode() != 200 {
			t.Errorf("%s is answered %d", id, final.StatusCode())
		}
	}
	for _, r := range s.far.Received() {
		if r.Message != nil && r.IsRequest() && r.Conn != conn {
			t.Errorf("%s came over %v", r.Method(), r.Conn)
		}
	}
	in.Reply(200, "Contact: <sip:bob@"+s.far.Addr().String()+":5061;transport=tls>")
	ok := s.alice.Expect("the answer to INVITE", same(invite.CallID, false))
	caller.SendRequest(invite.Ack(ok))
	s.far.ExpectRequest(sip.MethodAck)
	caller.SendRequest(invite.InDialog(sip.MethodBye, ok))
	if bye := s.far.ExpectRequest(sip.MethodBye); bye.Conn != conn {
		t.Errorf("BYE came over %v", bye.Conn)
	}
	if again := s.dials(s.far); shown(again) == before {
		t.Error("who dials is shown the old certificate")
	}
	conn.Close()
	eventually(t, "the connection is gone", func() bool { return len(s.p.rows()) == 0 })
	if dialed := s.notOver(conn, "sip:bob@example.net", s.far); shown(dialed) == before {
		t.Error("who is dialed is shown the old certificate")
	}
}

// TestReloadCRL is F15: a list comes that revokes a connected peer, under load. From then on no request takes the
// connection, the calls in progress on it end as they would have, and it is closed.
func TestReloadCRL(t *testing.T) {
	t.Parallel()
	ca := siptest.NewCA(t)
	far := ca.Domain(t, "example.net", "p2.example.net")
	list := siptest.WriteCRL(t, ca.CRL(t))
	s := newStand(t, plan{ca: ca, far: far, trust: ", crl: [" + list + "]", rest: "timers: {t1: 50ms, t2: 100ms, t4: 100ms}\n"})
	conn := s.offered("p2.example.net")
	caller, invite, in := s.invites()
	_, refused, inRefused := s.invites()
	in.Reply(180) // they may take as long as they like from now on
	inRefused.Reply(180)
	l := s.load("sip:bob@example.net")
	l.after(100)

	swap(t, list, siptest.WriteCRL(t, ca.CRL(t, far.Leaf)))
	begun := time.Now()
	s.reloads(nil)
	inForce := time.Now()
	t.Logf("in force after %v", inForce.Sub(begun))
	l.after(100)

	// It may relay no more at once, though the connection stands while the calls last.
	r := conn.Request(sip.MethodMessage, "sip:anybody@elsewhere.invalid")
	conn.SendRequest(r)
	if final := s.far.Expect("the answer to a MESSAGE of the revoked peer", same(r.CallID, false)); final.StatusCode() != 403 {
		t.Errorf("the revoked peer is answered %d", final.StatusCode())
	}
	in.Reply(200, "Contact: <sip:bob@"+s.far.Addr().String()+":5061;transport=tls>")
	ok := s.alice.Expect("the answer to INVITE", same(invite.CallID, false))
	inRefused.Reply(486)
	if final := s.alice.Expect("the answer to the other INVITE", same(refused.CallID, false)); ok.StatusCode() != 200 || final.StatusCode() != 486 {
		t.Errorf("the calls in progress are answered %d and %d", ok.StatusCode(), final.StatusCode())
	}
	caller.SendRequest(invite.Ack(ok))
	finals := l.ends()
	conn.ExpectClosed()

	last := time.Time{}
	for _, r := range s.far.Received() {
		if r.Message == nil || !r.IsRequest() || r.Method() != sip.MethodMessage {
			continue
		}
		if sent := l.sent[r.CallID()]; sent.After(inForce) {
			t.Errorf("%s was sent %v after the reload and came over %v", r.CallID(), sent.Sub(inForce), r.Conn)
		}
		last = r.At
	}
	t.Logf("the last request came %v after the reload", last.Sub(inForce))
	good := count(finals, func(r *siptest.Received) bool { return r.StatusCode() == 200 })
	told := count(finals, func(r *siptest.Received) bool {
		text, _ := r.Header("Warning")
		return r.StatusCode() == 503 && strings.Contains(text, "is not authenticated")
	})
	t.Logf("%d requests: %d answered 200, %d told why not", len(finals), good, told)
	if good < 100 || told == 0 || good+told != len(finals) {
		t.Error("some were answered otherwise")
	}
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
}

// TestReloadTrust is F18: the authority of a connected peer is trusted no more. Its connection closes, and it
// cannot come back, not with its old session either.
func TestReloadTrust(t *testing.T) {
	t.Parallel()
	other := siptest.NewCA(t)
	anchors := siptest.NewCA(t).WriteFile(t)
	swap(t, anchors, other.WriteFile(t))
	far := other.Domain(t, "example.net", "p2.example.net")
	s := newStand(t, plan{far: far, trust: "", rest: ""})
	s.reloads(func(yaml string) string {
		return regexp.MustCompile(`ca: \[`).ReplaceAllString(yaml, "ca: ["+anchors+", ")
	})
	conn := s.offered("p2.example.net")
	dialed := s.dialed()
	s.over(conn, "sip:bob@example.net", s.far)
	s.reloads(replaced(anchors+", ", ""))
	conn.ExpectClosed()
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	if final := s.fails("sip:bob@example.net"); final.StatusCode() != 503 {
		t.Errorf("alice is answered %d", final.StatusCode())
	}
	if s.dialed() != dialed {
		t.Error("a handshake with a server that nobody trusts succeeded")
	}
	if s.tries(s.far) {
		t.Error("the peer is let in again")
	}
	s.reloads(replaced("ca: [", "ca: ["+anchors+", "))
	if got := s.offered("p2.example.net"); len(s.p.rows()) != 1 {
		t.Errorf("no row for %v though its authority is trusted again: %+v", got, s.p.rows())
	}
}

// TestReloadDomains adds a domain and takes it away again. The connections of the others stay.
func TestReloadDomains(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.offered("p2.example.net")
	ask := func(uri string) int {
		t.Helper()
		stranger := siptest.NewPeer(t, siptest.PeerConfig{Name: "stranger"})
		c := stranger.Dial(sipaddr.TCP, s.p.at(sipaddr.TCP))
		c.SendRequest(c.Request(sip.MethodMessage, uri))
		return stranger.ExpectFinal(sip.MethodMessage).StatusCode()
	}
	if got := ask("sip:alice@example.org"); got != 403 {
		t.Errorf("a domain that is not served is answered %d", got)
	}
	cert, key := s.ca.Domain(t, "example.org", "p1.example.org").WriteFiles(t)
	added := "  - {name: example.org, certificate: " + cert + ", key: " + key + ", sent_by: p1.example.org}\n"
	s.reloads(replaced("access:", added+"access:"))
	if got := ask("sip:alice@example.org"); got != 404 {
		t.Errorf("a domain without a route is answered %d", got)
	}
	second := s.far.DialName(sipaddr.TLS, s.p.at(sipaddr.TLS), "example.org")
	if names := second.TLS().PeerCertificates[0].DNSNames; names[0] != "example.org" {
		t.Errorf("certificate for %v", names)
	}
	out := s.notOver(conn, "sip:bob@example.net", s.far, from("example.org"))

	s.reloads(replaced(added, ""))
	second.ExpectClosed()
	out.ExpectClosed()
	if got := ask("sip:alice@example.org"); got != 403 {
		t.Errorf("a domain that is served no more is answered %d", got)
	}
	s.over(conn, "sip:bob@example.net", s.far)
}

// TestReloadPeers takes peers away and gives them other rights, while their connections stand.
func TestReloadPeers(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.offered("p2.example.net")
	relays := func(want int) {
		t.Helper()
		r := conn.Request(sip.MethodMessage, "sip:anybody@elsewhere.invalid")
		conn.SendRequest(r)
		if final := s.far.Expect("the answer to a MESSAGE", same(r.CallID, false)); final.StatusCode() != want {
			t.Errorf("answered %d, want %d", final.StatusCode(), want)
		}
	}
	relays(404)
	s.reloads(replaced("identities: [example.net]", "identities: [other.example]"))
	relays(403)
	s.over(conn, "sip:bob@example.net", s.far)
	s.reloads(replaced("identities: [other.example]", "identities: [example.net], alias: decline"))
	relays(404)
	s.noRows()
	if got := s.offer(s.far, conn, "p2.example.net", "alias"); got.StatusCode() != 200 {
		t.Errorf("OPTIONS is answered %d", got.StatusCode())
	}
	s.noRows()
	s.reloads(replaced(", alias: decline", ""))
	s.offer(s.far, conn, "p2.example.net", "alias")
	s.over(conn, "sip:bob@example.net", s.far)
	// Over UDP there is nothing but the address.
	s.reloads(replaced("relay_from: ["+s.alice.Addr().String()+"]", "relay_from: []"))
	if final := s.fails("sip:bob@example.net"); final.StatusCode() != 403 {
		t.Errorf("alice, who may relay no more, is answered %d", final.StatusCode())
	}
}

// TestReloadInProgress takes a right away while a request waits, which goes on by the rules that it began with,
// and asks other name servers.
func TestReloadInProgress(t *testing.T) {
	s := newStand(t, plan{})
	s.offered("p2.example.net")
	_, invite, in := s.invites()
	s.reloads(replaced("relay_from: ["+s.alice.Addr().String()+"]", "relay_from: []"))
	in.Reply(486)
	if final := s.alice.Expect("the answer to INVITE", same(invite.CallID, false)); final.StatusCode() != 486 {
		t.Errorf("answered %d", final.StatusCode())
	}
	s.reloads(replaced("relay_from: []", "relay_from: ["+s.alice.Addr().String()+"]"))

	// The name server answers nothing; while the request waits for it, another one takes its place.
	s.dns.SetFaults(siptest.Fault{Drop: true})
	r := s.asks("sip:carol@example.org")
	eventually(t, "the name is asked for", func() bool { return s.dns.Queries("example.org", "NAPTR") > 0 })
	second := siptest.NewDNS(t, "")
	s.reloads(replaced(s.dns.Addr().String(), second.Addr().String()))
	if final := s.alice.Expect("the answer to MESSAGE", same(r.CallID, false)); final.StatusCode() != 404 || second.Total() == 0 {
		t.Errorf("answered %d after %d questions", final.StatusCode(), second.Total())
	}
}

// TestReloadSentBy changes the advertised name. A dialog from before goes on, whose requests come with the old one.
func TestReloadSentBy(t *testing.T) {
	s := newStand(t, plan{})
	s.offered("p2.example.net")
	caller, invite, in := s.invites()
	in.Reply(200)
	caller.SendRequest(invite.Ack(s.alice.ExpectResponseTo(sip.MethodInvite, 200)))
	s.far.ExpectRequest(sip.MethodAck)
	cert, key := s.ca.Domain(t, "example.com", "p9.example.com").WriteFiles(t)
	s.reloads(func(yaml string) string {
		oldCert, oldKey := certificateOf(yaml, "example.com")
		return strings.NewReplacer(oldCert, cert, oldKey, key, "sent_by: p1.example.com", "sent_by: p9.example.com").Replace(yaml)
	})
	bye := in.InDialog(sip.MethodBye, in.Conn)
	if len(bye.Route) == 0 || !strings.Contains(bye.Route[0], "p1.example.com") {
		t.Fatalf("Route %v", bye.Route)
	}
	in.Conn.SendRequest(bye)
	s.alice.ExpectRequest(sip.MethodBye)
	s.far.ExpectResponseTo(sip.MethodBye, 200)
}

// TestReloadRefused has files that are wrong, or change what cannot be changed: all of it is said, with the lines,
// and nothing else happens.
func TestReloadRefused(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.offered("p2.example.net")
	good, err := os.ReadFile(s.p.Config().File)
	if err != nil {
		t.Fatal(err)
	}
	before := s.p.Config()
	cert, _ := certificateOf(string(good), "example.com")
	_, otherKey := s.ca.Domain(t, "example.com").WriteFiles(t)
	for name, tt := range map[string]struct {
		change func(string) string
		want   []string
	}{
		"no file":        {func(string) string { return "" }, []string{"tandem.yaml: it is empty"}},
		"syntax":         {func(y string) string { return y + "  x: [\n" }, []string{"not well-formed YAML"}},
		"two mistakes":   {func(y string) string { return y + "log: {level: loud}\ntimers: {t1: never}\n" }, []string{"log.level: ", "timers.t1: "}},
		"no certificate": {replaced(cert, "nowhere.pem"), []string{"domains[0].certificate: cannot read nowhere.pem"}},
		"another's key": {func(y string) string {
			_, key := certificateOf(y, "example.com")
			return strings.ReplaceAll(y, key, otherKey)
		}, []string{"domains[0].key: "}},
		"listener new":  {replaced("udp://"+s.p.addr.String()+":5060,", "udp://"+s.p.addr.String()+":5066,"), []string{":1: listen[0]: udp://" + s.p.addr.String() + ":5066 is new"}},
		"listener gone": {replaced("udp://"+s.p.addr.String()+":5060, ", ""), []string{":1: listen: udp://" + s.p.addr.String() + ":5060 is missing"}},
		"listeners in another order": {replaced("udp://"+s.p.addr.String()+":5060, tcp://"+s.p.addr.String()+":5060", "tcp://"+s.p.addr.String()+":5060, udp://"+s.p.addr.String()+":5060"),
			[]string{":1: listen: the order"}},
		"admin":  {func(y string) string { return y + "admin: 127.0.0.1:8061\n" }, []string{": admin: the admin address (127.0.0.1:8061 instead of none)"}},
		"limits": {func(y string) string { return y + "limits:\n  start_line: 1KiB\n  queue: 8KiB\n" }, []string{"limits.start_line: it (1024 instead of 8192)", "limits.queue: it (8192 instead of 262144)"}},
		"timers": {func(y string) string { return y + "timers: {header_read: 1s, t1: 100ms}\n" }, []string{"timers.header_read: it (1s instead of 5s)", "timers.t1: it (100ms instead of 500ms)"}},
		"log":    {func(y string) string { return y + "log: {format: json}\n" }, []string{"log.format: "}},
	} {
		err := s.p.reload(t, tt.change)
		var bad *config.Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v: want %s", name, err, want)
			}
		}
		if len(bad.Problems) < len(tt.want) {
			t.Errorf("%s: %d problems", name, len(bad.Problems))
		}
		if s.p.Config() != before {
			t.Errorf("%s: another configuration is in force", name)
		}
		s.over(conn, "sip:bob@example.net", s.far)
		if err := os.WriteFile(before.File, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.p.Handshakes(); n != 1 {
		t.Errorf("%d handshakes", n)
	}
	s.reloads(replaced("access:", "# fine\naccess:"))
	s.over(conn, "sip:bob@example.net", s.far)
}
