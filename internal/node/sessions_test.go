package node_test

import (
	"crypto/tls"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// anySession offers the session that it was given last to whatever server, as one would who wants to get in with
// another one's.
type anySession struct{ session *tls.ClientSessionState }

func (a *anySession) Get(string) (*tls.ClientSessionState, bool) { return a.session, a.session != nil }
func (a *anySession) Put(_ string, s *tls.ClientSessionState)    { a.session = s }

// tlsVersions are those that are served.
var tlsVersions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// resumes has a client ask for a domain with what sessions it has, and a ping answered, so that the tickets of
// TLS 1.3 have come. It reports the state of TLS. What was shown is for the caller to judge: nothing is verified here.
func resumes(at netip.AddrPort, name string, version uint16, cert *siptest.Cert, sessions *anySession) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", at.String(), &tls.Config{
		MinVersion: version, MaxVersion: version, ServerName: name, InsecureSkipVerify: true,
		Certificates: []tls.Certificate{cert.TLS()}, ClientSessionCache: sessions,
	})
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte("\r\n\r\n")); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := conn.Read(make([]byte, 2)); err != nil {
		return tls.ConnectionState{}, err
	}
	return conn.ConnectionState(), nil
}

// TestTicketsStayInTheirDomain has a client offer a session that it had with one served domain to another one.
func TestTicketsStayInTheirDomain(t *testing.T) {
	s := newStand(t, plan{domains: []string{"example.org"}})
	cert := s.ca.Domain(t, "far.example")
	for _, version := range tlsVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			sessions := &anySession{}
			for i, c := range []struct {
				name    string
				resumed bool
			}{
				{"example.com", false}, {"example.com", true}, // it does resume, where it may
				{"example.org", false},
				{"example.org", true},
				{"example.com", false},
				{"p1.example.com", true}, // another name of the same domain
				{"unknown.example", true},
			} {
				state, err := resumes(s.p.at(sipaddr.TLS), c.name, version, cert, sessions)
				if err != nil {
					t.Fatalf("attempt %d: %v", i, err)
				}
				if state.DidResume != c.resumed {
					t.Errorf("attempt %d: %s resumed: %t, want %t", i, c.name, state.DidResume, c.resumed)
				}
				want := c.name
				if c.name == "unknown.example" {
					want = "example.com" // the first domain
				}
				if leaf := state.PeerCertificates[0]; leaf.VerifyHostname(want) != nil {
					t.Errorf("attempt %d: %s is shown the certificate of %v", i, c.name, leaf.DNSNames)
				}
			}
		})
	}
}

// TestOwnSessionsStayInTheirDomain is the other side: the proxy, as a client, does not offer the session that one of
// its domains has with a server on behalf of another one.
func TestOwnSessionsStayInTheirDomain(t *testing.T) {
	for _, version := range tlsVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := newStand(t, plan{domains: []string{"example.org"}})
			far := siptest.NewPeer(t, siptest.PeerConfig{
				Name: "partner", Cert: s.ca.Domain(t, "partner.example"), Handle: siptest.AnswerAll,
				TLS: func(c *tls.Config) {
					c.SetSessionTicketKeys([][32]byte{{1, 2, 3}}) // any connection's sessions are good
					c.MaxVersion = version
				},
			})
			far.Listen(sipaddr.TLS, 5061)
			s.names("partner.example", "partner.example", far.Addr(), 5061)
			for i, c := range []struct {
				from    string
				resumed bool
			}{{"example.com", false}, {"example.com", true}, {"example.org", false}, {"example.org", true}, {"example.com", true}} {
				got := s.sends("sip:bob@partner.example", far, from(c.from))
				state := got.Conn.TLS()
				if state.DidResume != c.resumed {
					t.Errorf("attempt %d: from %s resumed: %t, want %t", i, c.from, state.DidResume, c.resumed)
				}
				if state.ServerName != "partner.example" {
					t.Errorf("attempt %d: server name %q", i, state.ServerName)
				}
				if leaf := state.PeerCertificates[0]; leaf.VerifyHostname(c.from) != nil {
					t.Errorf("attempt %d: from %s with the certificate of %v", i, c.from, leaf.DNSNames)
				}
				got.Conn.Close()
				eventually(t, "the connection is gone", func() bool { return len(s.p.tlsConns()) == 0 })
			}
		})
	}
}

// TestSessionsAfterReload: a session from before new rules gets nobody in that they keep out, and nobody else is
// kept out.
func TestSessionsAfterReload(t *testing.T) {
	for _, version := range tlsVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			k := newTrunk(t, "")
			cert := k.ca.Domain(t, "carrier.example")
			at := k.p.at(sipaddr.TLS)
			sessions := &anySession{}
			for i := range 2 {
				if state, err := resumes(at, "near.test", version, cert, sessions); err != nil || state.DidResume != (i > 0) {
					t.Fatalf("attempt %d: %v, resumed: %t", i, err, state.DidResume)
				}
			}
			k.reload("trust: {", "trust: {crl: ["+siptest.WriteCRL(t, k.ca.CRL(t))+"], ")
			if state, err := resumes(at, "near.test", version, cert, sessions); err != nil || state.DidResume {
				t.Errorf("after rules that still let it in: %v, resumed: %t", err, state.DidResume)
			}
			old := sessions.session
			k.reload("trust: {", "trust: {crl: ["+siptest.WriteCRL(t, k.ca.CRL(t, cert.Leaf))+"], ")
			if state, err := resumes(at, "near.test", version, cert, sessions); err == nil {
				t.Errorf("revoked, and let in; resumed: %t", state.DidResume)
			}
			other := siptest.NewCA(t)
			k.reload(caOf(k.yaml), other.WriteFile(t))
			sessions.session = old
			if state, err := resumes(at, "near.test", version, cert, sessions); err == nil {
				t.Errorf("its authority is not believed any more, and it is let in; resumed: %t", state.DidResume)
			}
		})
	}
}

// caOf is the file in "ca: [FILE]".
func caOf(yaml string) string {
	_, rest, _ := strings.Cut(yaml, "ca: [")
	file, _, _ := strings.Cut(rest, "]")
	return file
}

// reload has the proxy reload its configuration with one change.
func (k *trunk) reload(from, to string) {
	k.t.Helper()
	file := k.t.TempDir() + "/tandem.yaml"
	if err := os.WriteFile(file, []byte(strings.Replace(k.yaml, from, to, 1)), 0o600); err != nil {
		k.t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.p.Reload(cfg); err != nil {
		k.t.Fatal(err)
	}
}

// TestLocalDomainsShareNothing: to one address and one peer each served domain has a connection of its own, which it
// goes on using.
func TestLocalDomainsShareNothing(t *testing.T) {
	s := newStand(t, plan{domains: []string{"example.org"}})
	com := s.sends("sip:bob@example.net", s.far).Conn
	org := s.sends("sip:bob@example.net", s.far, from("example.org")).Conn
	if com == org {
		t.Fatal("two local domains share a connection")
	}
	for range 3 {
		s.over(com, "sip:bob@example.net", s.far, from("example.com"))
		s.over(org, "sip:bob@example.net", s.far, from("example.org"))
	}
	for name, conn := range map[string]*siptest.Conn{"example.com": com, "example.org": org} {
		if leaf := conn.TLS().PeerCertificates[0]; leaf.VerifyHostname(name) != nil {
			t.Errorf("for %s the certificate of %v was shown", name, leaf.DNSNames)
		}
	}
	// When one of them is gone, the other one does not stand in.
	com.Close()
	eventually(t, "the connection is gone", func() bool { return len(s.p.tlsConns()) == 1 })
	if again := s.sends("sip:bob@example.net", s.far).Conn; again == org || again == com {
		t.Errorf("the request came over %v", again)
	}
}

// TestRemoteDomainsOnOneAddress: two domains that a server has on one address share a connection only if the
// certificate that it showed names both.
func TestRemoteDomainsOnOneAddress(t *testing.T) {
	for _, both := range []bool{true, false} {
		s := newStand(t, plan{})
		single := map[string]*siptest.Cert{"one.example": s.ca.Domain(t, "one.example"), "two.example": s.ca.Domain(t, "two.example")}
		far := siptest.NewPeer(t, siptest.PeerConfig{
			Name: "host", Cert: s.ca.Domain(t, "one.example", "two.example"), Handle: siptest.AnswerAll,
			TLS: func(c *tls.Config) {
				if !both {
					c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
						pair := single[hello.ServerName].TLS()
						return &pair, nil
					}
					c.Certificates = nil
				}
			},
		})
		far.Listen(sipaddr.TLS, 5061)
		s.names("one.example", "host.example", far.Addr(), 5061)
		s.names("two.example", "host2.example", far.Addr(), 5061)
		one := s.sends("sip:bob@one.example", far).Conn
		two := s.sends("sip:bob@two.example", far).Conn
		if (one == two) != both {
			t.Errorf("the certificate names both: %t; one connection for both: %t", both, one == two)
		}
		s.over(one, "sip:bob@one.example", far)
		s.over(two, "sip:bob@two.example", far)
		if n := len(slices.DeleteFunc(s.p.tlsConns(), func(c transport.ConnInfo) bool { return c.Remote.Addr() != far.Addr() })); both && n != 1 || !both && n != 2 {
			t.Errorf("%d connections", n)
		}
	}
}
