package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// handshake is what the callbacks of TLS find out during one handshake. It belongs to the goroutine
// that does the handshake.
type handshake struct {
	domain *domain
	creds  *credentials
	peer   *identity.Peer
	auth   *AuthError // the server did not prove its name
	bad    error      // the client's certificate did not verify
	names  []string   // that were in it
}

// serverTLS returns how this domain answers clients. Each accepted connection gets a copy with a
// VerifyConnection of its own.
func serverTLS(cr *credentials) *tls.Config {
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12, // RFC 9325, Section 3.1.1
		Certificates: []tls.Certificate{cr.Certificate},
		// A certificate is asked for, and none is let pass as nobody: RFC 5923, Section 9.2. What is
		// presented is verified by VerifyConnection, which unlike the checks of crypto/tls knows
		// SIP identities.
		ClientAuth:                  tls.RequestClientCert,
		DynamicRecordSizingDisabled: true, // what is written together stays one record
	}
	// crypto/tls would use the keys of the listener's config for all that GetConfigForClient
	// returns, so that a session of one domain could be resumed with another. Each config has keys
	// of its own, which it rotates.
	cfg.WrapSession = func(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		ticket, err := cfg.EncryptTicket(cs, session)
		if err == nil && len(ticket) > maxTicket {
			// The certificate of the client is in it. Whoever shows this gets a full handshake.
			return []byte("none"), nil
		}
		return ticket, err
	}
	cfg.UnwrapSession = cfg.DecryptTicket
	return cfg
}

// maxTicket is the largest session ticket in bytes that is worth sending, and offering in a
// ClientHello. TLS has room for 64 KiB.
const maxTicket = 16 << 10

// listenerTLS returns the config of the listeners, which picks the domain by SNI.
func (t *Transport) listenerTLS(set *domainSet) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			s, ok := hello.Conn.(*stream)
			if !ok || s.shake == nil {
				return nil, errors.New("transport: handshake after the handshake")
			}
			sh := s.shake
			sh.domain = set.serverName(hello.ServerName)
			sh.creds = sh.domain.creds.Load()
			cfg := sh.creds.server.Clone()
			cfg.VerifyConnection = func(cs tls.ConnectionState) error {
				if len(cs.PeerCertificates) == 0 {
					return nil // not authenticated: RFC 5922, Section 7.4
				}
				if sh.peer, sh.bad = sh.creds.Verifier.VerifyConnection(cs, identity.Client, ""); sh.bad != nil {
					sh.names = namesOf(cs.PeerCertificates)
				}
				return sh.bad
			}
			return cfg, nil
		},
	}
}

// clientTLS returns how this domain greets servers. Each dial gets a copy.
func clientTLS(cr *credentials) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cr.Certificate},
		// VerifyConnection verifies by RFC 5922, Section 7.3, on resumed sessions too; crypto/tls
		// would accept wildcards and IP addresses.
		InsecureSkipVerify:          true,
		DynamicRecordSizingDisabled: true,
	}
}

// greet does the handshake of a dialed connection. On an *AuthError nothing has been sent but the
// handshake itself, and neither our certificate.
func (t *Transport) greet(ctx context.Context, s *stream, cr *credentials, to sipaddr.Resolved, reference string) (*tls.Conn, *identity.Peer, error) {
	var sh handshake
	cfg := cr.client.Clone()
	cfg.ServerName = reference // RFC 5922, Section 7.8
	if name, ok := identity.Normalize(reference); ok {
		cfg.ServerName = name
	}
	cfg.ClientSessionCache = sessions{cache: cr.sessions, key: sessionKey(to, reference)}
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		peer, err := cr.Verifier.VerifyConnection(cs, identity.Server, reference)
		if err != nil {
			sh.auth = &AuthError{To: to, Reference: reference, Names: namesOf(cs.PeerCertificates), Err: err}
			return err
		}
		sh.peer = peer
		return nil
	}
	deadline := time.Now().Add(t.cfg.HandshakeTimeout)
	_ = s.SetDeadline(deadline)
	s.blocking = true
	s.records = &recordMeter{}
	conn := tls.Client(s, cfg)
	err := conn.HandshakeContext(ctx)
	s.blocking = false
	if err != nil {
		t.count.hsClientFailed.Add(1)
		if sh.auth != nil {
			t.count.authFailed.Add(1)
			return nil, nil, sh.auth
		}
		if refusedHere(err) {
			t.count.authFailed.Add(1)
			return nil, nil, &AuthError{To: to, Reference: reference, Err: err}
		}
		return nil, nil, &DialError{To: to, Handshake: true, Timeout: errors.Is(err, os.ErrDeadlineExceeded), Err: err}
	}
	_ = s.SetDeadline(time.Time{})
	t.count.hsClient.Add(1)
	if conn.ConnectionState().DidResume {
		t.count.resumed.Add(1)
	}
	return conn, sh.peer, nil
}

// refusedHere reports whether a handshake failed for what the server showed, such as a certificate
// that cannot be read or a signature that does not fit: it came to its end without proof of a name.
// What is left are the network, the server's own refusal, and what is no TLS at all.
func refusedHere(err error) bool {
	var network net.Error
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &network), errors.As(err, &record):
		return false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, syscall.ECONNRESET):
		return false
	}
	return true
}

// sessions keeps the sessions of one address and reference identity in the cache of a domain, so
// that no server is offered the session of another.
type sessions struct {
	cache tls.ClientSessionCache
	key   string
}

func (s sessions) Get(string) (*tls.ClientSessionState, bool)    { return s.cache.Get(s.key) }
func (s sessions) Put(_ string, session *tls.ClientSessionState) { s.cache.Put(s.key, session) }

func sessionKey(to sipaddr.Resolved, reference string) string { return to.String() + " " + reference }

// namesOf returns the first identities of a certificate that was refused, for an AuthError.
func namesOf(chain []*x509.Certificate) []string {
	if len(chain) == 0 {
		return nil
	}
	names := identity.FromCertificate(chain[0], false).Names()
	return names[:min(len(names), 8)]
}

func leafOf(c *tls.Certificate) (*x509.Certificate, error) {
	if c.Leaf != nil {
		return c.Leaf, nil
	}
	return x509.ParseCertificate(c.Certificate[0])
}
