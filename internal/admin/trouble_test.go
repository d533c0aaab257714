package admin

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// troubled is a proxy with one peer of each kind of trouble, which is called and which dials.
type troubled struct {
	*rig
	agent *siptest.Peer
	zone  []string
	peers []string // of the configuration
	dns   *siptest.DNS
}

// add configures a peer at an address, with a domain NAME.example that SRV leads there.
func (s *troubled) add(name string, at netip.Addr) {
	domain := name + ".example"
	s.zone = append(s.zone, fmt.Sprintf(`_sips._tcp.%[1]s. 60 IN SRV 10 10 5061 host.%[1]s.`, domain))
	if at.IsValid() {
		s.zone = append(s.zone, fmt.Sprintf("host.%s. 60 IN A %s", domain, at))
		s.peers = append(s.peers, fmt.Sprintf("{name: %s, identities: [%s], addresses: [%s]}", name, domain, at))
		return
	}
	s.peers = append(s.peers, fmt.Sprintf("{name: %s, identities: [%s]}", name, domain))
}

// TestPeersInTrouble: whatever is the matter with a peer, when it is called and when it dials, the API names the cause and
// what to do about it.
func TestPeersInTrouble(t *testing.T) {
	t.Parallel()
	ca := siptest.NewCA(t)
	s := &troubled{dns: siptest.NewDNS(t, "")}
	s.agent = siptest.NewPeer(t, siptest.PeerConfig{Name: "agent", Handle: siptest.AnswerAll})
	long := time.Now().Add(-48 * time.Hour)
	spec := func(name string) siptest.Spec {
		return siptest.Spec{URIs: []string{"sip:" + name}, DNSNames: []string{name}}
	}
	past := spec("expired.example")
	past.NotBefore, past.NotAfter = long.Add(-time.Hour), long
	certs := map[string]*siptest.Cert{
		"expired": ca.Issue(t, past), "wrongname": ca.Domain(t, "other.example"), "good": ca.Domain(t, "good.example"),
		"unvouched": siptest.NewCA(t).Domain(t, "unvouched.example"), "nocert": ca.Domain(t, "nocert.example"),
	}
	peers := make(map[string]*siptest.Peer)
	for name, cert := range certs {
		peers[name] = siptest.NewPeer(t, siptest.PeerConfig{Name: name, Cert: cert, Handle: siptest.AnswerAll})
		if name != "nocert" {
			peers[name].Listen(sipaddr.TLS, 5061)
		}
		s.add(name, peers[name].Addr())
	}
	// A server of TLS that has no certificate at all.
	bare, err := tls.Listen("tcp", netip.AddrPortFrom(peers["nocert"].Addr(), 5061).String(), &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	// Ends with the listener.
	go func() {
		for {
			c, err := bare.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake() // which fails
			_ = c.Close()
		}
	}()
	// One that speaks no TLS where TLS is said to be.
	plain := siptest.NewPeer(t, siptest.PeerConfig{Name: "plain"})
	s.add("plain", plain.Addr())
	talker, err := net.Listen("tcp", netip.AddrPortFrom(plain.Addr(), 5061).String())
	if err != nil {
		t.Fatal(err)
	}
	defer talker.Close()
	// The same.
	go func() {
		for {
			c, err := talker.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SIP/2.0 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	s.add("down", siptest.Loopback(t))
	s.add("nowhere", netip.Addr{}) // its SRV names a host without an address
	s.dns.Set(strings.Join(s.zone, "\n"))
	certFile, keyFile := ca.Domain(t, "example.com").WriteFiles(t)
	s.rig = newRig(t, fmt.Sprintf("listen: [\"udp://%[1]s:5060\", \"tls://%[1]s:5061\"]\nadmin: 127.0.0.1:0\ndns: [%[2]s]\ntrust: {ca: [%[3]s]}\n"+
		"domains: [{name: example.com, certificate: %[4]s, key: %[5]s}]\naccess: {relay_from: [%[6]s]}\npeers:\n  - %[7]s\n",
		siptest.Loopback(t), s.dns.Addr(), ca.WriteFile(t), certFile, keyFile, s.agent.Addr(), strings.Join(s.peers, "\n  - ")))
	told := func(direction, name string, cause, mend string) {
		t.Helper()
		var page api.Page[api.Peer]
		s.eventually(direction+": what is the matter with "+name+" is told", func() bool {
			s.get("/v1/peers?name="+name, &page)
			x := page.Items[0].Trouble
			return x != nil && strings.Contains(x.Cause, cause)
		})
		if p := page.Items[0]; p.Status != "failing" || !strings.Contains(p.Trouble.Mend, mend) {
			t.Errorf("%s, %s: %s, %+v", direction, name, p.Status, p.Trouble)
		}
		t.Logf("%s, %s: %s -> %s", direction, name, page.Items[0].Trouble.Cause, page.Items[0].Trouble.Mend)
	}
	sc := &scene{rig: s.rig, agent: s.agent}
	for _, c := range []struct {
		name, cause, mend string
		status            int
	}{
		{"expired", "expired", "renew its certificate", 503},
		{"wrongname", "not authenticated as wrongname.example", "certificate with the name", 503},
		{"nocert", "answered with the alert", "the peer has no certificate for that name", 500},
		{"unvouched", "not authenticated as unvouched.example", "trust.ca", 503},
		{"down", "refused the connection", "nothing listens there", 500},
		{"plain", "what it sends is not TLS", "see to the port", 500},
		{"nowhere", "nowhere.example", "mend the DNS records", 404},
	} {
		sc.asks("sip:bob@"+c.name+".example;transport=tls", c.status)
		told("called", c.name, c.cause, c.mend)
	}
	for _, c := range []struct{ name, cause, mend string }{
		{"expired", "and was turned away: ", "renew its certificate"},
		{"wrongname", "and proved other.example, which is not wrongname.example", "add the name to identities"},
		{"unvouched", "and was turned away: ", "trust.ca"},
	} {
		_, _ = peers[c.name].TryDial(sipaddr.TLS, s.node.Listening()[1].Addr, "example.com")
		told("dialed", c.name, "dialed from "+peers[c.name].Addr().String()+" "+c.cause, c.mend)
	}
	// One that shows no certificate, one that hangs up in the midst of it, and one that does not believe ours.
	dial := func(from netip.Addr, cfg *tls.Config) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
		c, err := d.DialContext(t.Context(), "tcp", s.node.Listening()[1].Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = tls.Client(c, cfg).HandshakeContext(t.Context())
	}
	// Not verified: what the proxy shows is not what this one is about.
	dial(peers["nocert"].Addr(), &tls.Config{InsecureSkipVerify: true})
	told("dialed", "nocert", "showed no certificate", "when it dials")
	dial(peers["good"].Addr(), &tls.Config{ServerName: "example.com"})
	told("dialed", "good", `answered with the alert "`, "does not take our certificate")
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: plain.Addr().AsSlice()}}).DialContext(t.Context(), "tcp", s.node.Listening()[1].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("OPTIONS sip:example.com SIP/2.0\r\n\r\n"))
	defer c.Close()
	told("dialed", "plain", "what it sends is not TLS", "see to the port")
}
