package load

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/tandem-sip/tandem/identity"
)

// clientTLS is how the target is spoken to over the connection of that number.
func (g *Generator) clientTLS(number int) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, // RFC 9325, Section 3.1.1
		ServerName: g.cfg.ServerName,
		// VerifyConnection below does what this leaves out: crypto/tls knows no SIP identities.
		InsecureSkipVerify: true,
	}
	if n := len(g.cfg.Certificates); n > 0 {
		cfg.Certificates = g.cfg.Certificates[number%n : number%n+1]
	}
	if !g.cfg.Insecure {
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := g.verifier.VerifyConnection(cs, identity.Server, g.cfg.ServerName)
			return err
		}
	}
	return cfg
}

// serverTLS is how those who dial are answered.
func (g *Generator) serverTLS() *tls.Config {
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12, // RFC 9325, Section 3.1.1
		Certificates: g.cfg.Certificates[:1],
		ClientAuth:   tls.RequestClientCert,
	}
	if !g.cfg.Insecure {
		cfg.ClientAuth = tls.RequireAnyClientCert
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := g.verifier.VerifyConnection(cs, identity.Client, "")
			return err
		}
	}
	return cfg
}

// newVerifier returns what judges certificates; nil when any is taken.
func newVerifier(roots []*x509.Certificate, insecure bool) (*identity.Verifier, error) {
	if insecure || len(roots) == 0 {
		return nil, nil
	}
	return identity.NewVerifier(identity.Policy{Roots: roots})
}
