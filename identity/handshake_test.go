package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// tlsCertificate is h for crypto/tls.
func (h *holder) tlsCertificate() tls.Certificate {
	c := tls.Certificate{PrivateKey: h.key}
	for _, cert := range h.chain() {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// shake runs a handshake between the two, and one byte in each direction. It returns the state of
// the client and the errors of both.
func shake(t *testing.T, client, server *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	deadline := time.Now().Add(10 * time.Second)
	a, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	done := make(chan error, 1)
	// Ends when the handshake and the two bytes are through, at the latest at the deadline.
	go func() {
		defer b.Close()
		conn := tls.Server(b, server)
		_, err := conn.Read(make([]byte, 1))
		if err == nil {
			_, err = conn.Write([]byte("y"))
		}
		done <- err
	}()
	conn := tls.Client(a, client)
	_, clientErr = conn.Write([]byte("x"))
	if clientErr == nil {
		_, clientErr = conn.Read(make([]byte, 1))
	}
	state = conn.ConnectionState()
	a.Close()
	return state, clientErr, <-done
}

// TestHandshakes drives VerifyConnection from crypto/tls in both roles, the first time and on a
// resumed session, at which VerifyPeerCertificate would not be called.
func TestHandshakes(t *testing.T) {
	root := newRoot(t)
	ca := root.ca("issuer")
	now := testNow
	p := policyOf(root)
	p.Now = func() time.Time { return now }
	v := mustVerifier(t, p)
	const sipURI = "sip:example.net"
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			now = testNow
			var seen [2]*Peer // by Role, each written by its own side
			serverConfig := &tls.Config{
				MinVersion: version, MaxVersion: version, Time: p.Now,
				Certificates: []tls.Certificate{ca.leaf(uriNames(sipURI)).tlsCertificate()},
				ClientAuth:   tls.RequestClientCert,
				VerifyConnection: func(cs tls.ConnectionState) (err error) {
					seen[Client], err = v.VerifyConnection(cs, Client, "")
					return err
				},
			}
			clientConfig := func(reference string) *tls.Config {
				return &tls.Config{
					MinVersion: version, MaxVersion: version, Time: p.Now,
					Certificates:       []tls.Certificate{ca.leaf(uriNames("sip:example.com")).tlsCertificate()},
					ServerName:         reference,
					InsecureSkipVerify: true,
					VerifyConnection: func(cs tls.ConnectionState) (err error) {
						seen[Server], err = v.VerifyConnection(cs, Server, reference)
						return err
					},
				}
			}
			client := clientConfig("example.net")
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for i := range 2 {
				seen = [2]*Peer{}
				state, ce, se := shake(t, client, serverConfig)
				if ce != nil || se != nil || state.DidResume != (i == 1) {
					t.Fatalf("handshake %d: %v, %v, resumed %t", i, ce, se, state.DidResume)
				}
				if seen[Server] == nil || !seen[Server].Identities.Contains("example.net") || seen[Client] == nil || !seen[Client].Identities.Contains("example.com") {
					t.Errorf("handshake %d: peers %v", i, seen)
				}
			}
			now = testEnd.Add(time.Second) // a session must not outlive its certificates
			if _, ce, _ := shake(t, client, serverConfig); ce == nil {
				t.Error("resumed after the end of the certificate")
			}
			now = testNow
			_, ce, _ := shake(t, clientConfig("example.org"), serverConfig)
			var ve *VerifyError
			if !errors.As(ce, &ve) || ve.Reason != ReasonMismatch {
				t.Errorf("another domain: %v", ce)
			}
			bare := clientConfig("example.net")
			bare.Certificates = nil
			if _, _, se := shake(t, bare, serverConfig); !errors.As(se, &ve) || ve.Reason != ReasonNoCertificate {
				t.Errorf("no client certificate: %v", se)
			}
		})
	}
}

// TestConcurrent is for the race detector: one verifier serves all connections of a domain.
func TestConcurrent(t *testing.T) {
	root := newRoot(t)
	ca := root.ca("issuer")
	p := policyOf(root)
	p.CRLs = append(p.CRLs, ca.crlOf(nil))
	v := mustVerifier(t, p)
	chains := [][]*x509.Certificate{ca.leaf(uriNames("sip:example.com")).chain(), ca.leaf(uriNames("sip:example.net")).chain()}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := v.Verify(chains[i%2], Role(i/2%2), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCache(t *testing.T) {
	root := newRoot(t)
	ca := root.ca("issuer")
	leaf := ca.leaf(uriNames("sip:example.com"))
	now := testNow
	p := policyOf(root)
	p.Now = func() time.Time { return now }
	p.CRLs = append(p.CRLs, ca.crlOf(nil)) // for an hour
	v := mustVerifier(t, p)
	want := func(role Role, staple []byte, reason Reason, hits uint64) *Peer {
		t.Helper()
		peer, err := v.Verify(leaf.chain(), role, staple)
		if reasonOf(t, err) != reason || v.cache.hits != hits {
			t.Errorf("%v and %d hits, want %v and %d", err, v.cache.hits, reason, hits)
		}
		return peer
	}
	first := want(Server, nil, ReasonNone, 0)
	second := want(Server, nil, ReasonNone, 1)
	if first == second || first.Fingerprint != second.Fingerprint || !first.Identities.Equal(second.Identities) {
		t.Errorf("%v and %v", first, second)
	}
	want(Client, nil, ReasonNone, 1) // another role is another question
	good := leaf.stapleOf(0, ca, ca, -time.Minute, time.Minute)
	want(Server, good, ReasonNone, 1)
	want(Server, good, ReasonNone, 2)
	later := leaf.stapleOf(1, ca, ca, 5*time.Minute, 30*time.Minute)
	want(Server, later, ReasonNone, 2)
	want(Server, later, ReasonNone, 2)
	now = testNow.Add(10 * time.Minute)
	want(Server, later, ReasonRevoked, 2)
	want(Server, nil, ReasonNone, 3)
	now = testNow.Add(-time.Minute) // the clock was put back
	want(Server, nil, ReasonNone, 3)
	now = testNow.Add(time.Hour) // the CRL has ended
	want(Server, nil, ReasonRevocation, 3)

	var c cache
	peer := &Peer{Identities: newSet([]string{"a.example", "b.example"})}
	for i := range 3 * maxCached {
		c.put(cacheKey{byte(i), byte(i >> 8)}, peer, testNow, testEnd)
		c.put(cacheKey{byte(i), byte(i >> 8)}, peer, testNow, testEnd)
	}
	if len(c.peers) != maxCached || c.names != 2*maxCached {
		t.Errorf("%d peers with %d names are kept", len(c.peers), c.names)
	}
}
