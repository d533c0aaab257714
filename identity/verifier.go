package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Policy is what a Verifier goes by. Nothing of it may be changed after NewVerifier.
type Policy struct {
	Roots []*x509.Certificate // the trust anchors; at least one

	// CRLs binds each issuer that is named by one of them: what it has issued is accepted only
	// while a list of that issuer is at hand that is signed by its key and is not past its
	// nextUpdate. Issuers without a list here are not asked for one.
	CRLs []*x509.RevocationList

	CNFallback bool // take the CN of a certificate without any subjectAltName; default: do not
	StrictEKU  bool // demand id-kp-sipDomain of RFC 5924; default: what TLS demands will do
	MustStaple bool // honour the TLS feature status_request (RFC 7633) of a server's certificate; default: do not

	// ServerAuthClients may present, as clients, a certificate whose extended key usage, or that of
	// its CAs, is good for a server only: public CAs certify nothing else any more. A certificate
	// with any of these identities is let pass so. Default: nobody.
	ServerAuthClients Set

	MaxNames      int // names in a certificate; more refuse it whole; 0: 8192
	MaxChain      int // certificates that a peer may present; 0: 10
	MaxChainBytes int // bytes of them together; 0: 128 KiB

	Now func() time.Time // the time; nil: time.Now
}

// Limits where Policy gives none. They let through a certificate of some five thousand domains,
// and keep what a peer can make us compute within some milliseconds.
const (
	defaultMaxNames      = 8192
	defaultMaxChain      = 10
	defaultMaxChainBytes = 128 << 10
)

// Role is the part that the peer plays in the TLS handshake.
type Role uint8

// The roles.
const (
	Server Role = iota // the peer was dialed and presented a server's certificate
	Client             // the peer has dialed and presented a client's certificate
)

// String returns "server" or "client".
func (r Role) String() string {
	if r == Client {
		return "client"
	}
	return "server"
}

// Peer is who stands at the far end of an authenticated connection.
type Peer struct {
	Identities Set // never empty

	// MayAlias tells that the certificate would also have been accepted in the other direction,
	// so that requests may go backwards over this connection: RFC 5923, Section 5. It is false
	// for a client whose certificate could never serve, such as one limited to clientAuth.
	MayAlias bool

	// ServerAuthOnly tells that this client was let pass by Policy.ServerAuthClients: its extended
	// key usage is good for a server only.
	ServerAuthOnly bool

	Fingerprint [32]byte  // SHA-256 of the certificate
	NotAfter    time.Time // when the first certificate of the chain ends
	Serial      string    // the certificate's serial number in hexadecimal
	Issuer      string    // the issuer's name, escaped and cut, for logs
}

// Verifier validates what peers present. It does not change after NewVerifier, but for a cache
// within, and may be used by several goroutines. New trust anchors or CRLs need a new one.
type Verifier struct {
	policy Policy
	roots  *x509.CertPool
	crls   revocations
	cache  cache
}

// NewVerifier returns a Verifier for p. The error is for a policy without trust anchors, or with a
// CRL that could never be used.
func NewVerifier(p Policy) (*Verifier, error) {
	if len(p.Roots) == 0 {
		return nil, errors.New("identity: no trust anchors, so that no peer could be authenticated")
	}
	if p.MaxNames <= 0 {
		p.MaxNames = defaultMaxNames
	}
	if p.MaxChain <= 0 {
		p.MaxChain = defaultMaxChain
	}
	if p.MaxChainBytes <= 0 {
		p.MaxChainBytes = defaultMaxChainBytes
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	v := &Verifier{policy: p, roots: x509.NewCertPool()}
	for _, root := range p.Roots {
		v.roots.AddCert(withoutOpaqueURIs(root))
	}
	var err error
	if v.crls, err = newRevocations(p.CRLs); err != nil {
		return nil, err
	}
	return v, nil
}

// VerifyConnection authenticates the peer of a finished handshake. It is made for
// tls.Config.VerifyConnection, which unlike VerifyPeerCertificate is called on resumed sessions as
// well. The reference is the domain that the peer must prove: for a server the host of the URI that
// was given to RFC 3263, never a name that DNS came up with (RFC 5922, Section 7.3). A server
// without a reference is refused. For a client the reference is "" (RFC 5922, Section 7.4), or a
// domain that it must be. The error is a *VerifyError.
func (v *Verifier) VerifyConnection(cs tls.ConnectionState, role Role, reference string) (*Peer, error) {
	peer, err := v.Verify(cs.PeerCertificates, role, cs.OCSPResponse)
	if err != nil {
		return nil, err
	}
	if reference == "" && role == Client {
		return peer, nil
	}
	if !peer.Identities.Contains(reference) {
		return nil, &VerifyError{
			Reason: ReasonMismatch,
			Text:   fmt.Sprintf("certificate of %s names %s, not %s", describe(cs.PeerCertificates[0]), peer.Identities, plain(reference)),
		}
	}
	return peer, nil
}

// Verify validates the certificates that a peer presented, its own first, and finds its
// identities. staple is the OCSP response that came with them, or nil. The error is a
// *VerifyError; a certificate without any identity is refused too.
func (v *Verifier) Verify(chain []*x509.Certificate, role Role, staple []byte) (*Peer, error) {
	if len(chain) == 0 {
		return nil, &VerifyError{Reason: ReasonNoCertificate, Text: "the " + role.String() + " presented no certificate"}
	}
	leaf := chain[0]
	refuse := func(f *fault) (*Peer, error) {
		return nil, &VerifyError{Reason: f.reason, Text: "certificate of " + describe(leaf) + ": " + f.text, Err: f.err}
	}
	if f := v.checkSize(chain); f != nil {
		return refuse(f)
	}
	now := v.policy.Now()
	key := keyOf(chain, role, staple)
	if peer, found := v.cache.get(key, now); found {
		return peer, nil
	}
	names, f := v.inspect(leaf)
	if f != nil {
		return refuse(f)
	}
	paths, f := v.paths(chain, now)
	if f != nil {
		return refuse(f)
	}
	found, f := v.choose(paths, names, role, now)
	if f != nil {
		return refuse(f)
	}
	until, f := v.checkStaple(found.path, role, staple, now)
	if f != nil {
		return refuse(f)
	}
	if found.set.IsZero() {
		return refuse(v.nameless(leaf, names, found.dropped))
	}
	peer := &Peer{
		Identities:  found.set,
		MayAlias:    found.mayAlias,
		Fingerprint: sha256.Sum256(leaf.Raw),
		NotAfter:    ends(found.path),
		Serial:      leaf.SerialNumber.Text(16),
		Issuer:      describeName(leaf.Issuer),

		ServerAuthOnly: found.relaxed,
	}
	if len(staple) == 0 || !until.IsZero() {
		// A staple that did not count now may do so later, and say revoked.
		v.cache.put(key, peer, now, earlier(earlier(found.until, until), peer.NotAfter))
	}
	return peer, nil
}

// nameless says why a valid certificate names no SIP domain, in words that tell what would.
func (v *Verifier) nameless(leaf *x509.Certificate, names altNames, dropped string) *fault {
	none := func(text string) *fault {
		return &fault{reason: ReasonNoIdentity, text: "it names no SIP domain: " + text}
	}
	switch {
	case dropped != "":
		return &fault{reason: ReasonConstraint, text: fmt.Sprintf("the name constraints of a CA above it forbid the domain %s", quote(dropped))}
	case len(names.uris) > 0:
		return none(fmt.Sprintf("the URI %s is not of the form sip:DOMAIN", quote(names.uris[0])))
	case len(names.dns) > 0:
		return none(fmt.Sprintf("%s is not a domain name", quote(names.dns[0])))
	case names.present:
		return none("it has a subjectAltName without a URI or DNS name")
	case !v.policy.CNFallback:
		return none("it has no subjectAltName, and its CN is not looked at here")
	}
	return none(fmt.Sprintf("it has no subjectAltName, and its CN %s is not a domain name", quote(leaf.Subject.CommonName)))
}

// candidate is a path that holds, with what it proves.
type candidate struct {
	path     []*x509.Certificate
	set      Set
	dropped  string // an identity that the path's constraints forbid
	mayAlias bool
	relaxed  bool      // its extended key usage is that of a server, and the role is Client
	until    time.Time // when the first CRL ends that was asked, or zero
}

// worth orders candidates: one path is enough (RFC 5280, Section 6), so the best counts.
func (c candidate) worth() int {
	worth := 0
	if !c.set.IsZero() {
		worth += 4
	}
	if c.dropped == "" {
		worth += 2
	}
	if c.mayAlias {
		worth++
	}
	if !c.relaxed {
		worth += 8 // a path that needs no leniency goes before any that does
	}
	return worth
}

// choose returns the best of paths among those that all checks of our own let through. Without any
// it returns why the first did not pass.
func (v *Verifier) choose(paths [][]*x509.Certificate, names altNames, role Role, now time.Time) (best candidate, f *fault) {
	for _, path := range paths {
		limits := newConstraints(path)
		c := candidate{path: path}
		c.set, c.dropped = names.identities(path[0], v.policy.CNFallback, limits.allowHost)
		if pf := v.checkPath(&c, limits, role, now); pf != nil {
			if f == nil {
				f = pf
			}
			continue
		}
		c.mayAlias = role == Server || checkExtKeyUsage(path, Server, v.policy.StrictEKU) == nil
		if best.path == nil || c.worth() > best.worth() {
			best = c
		}
	}
	if best.path != nil {
		f = nil
	}
	return best, f
}

// checkPath makes those checks of a candidate's path that crypto/x509 leaves out. It notes when the
// first CRL ends that was asked, and whether the path holds by leniency only.
func (v *Verifier) checkPath(c *candidate, limits *constraints, role Role, now time.Time) (f *fault) {
	if f := checkKeys(c.path); f != nil {
		return f
	}
	if f := checkKeyUsage(c.path); f != nil {
		return f
	}
	if f := checkExtKeyUsage(c.path, role, v.policy.StrictEKU); f != nil {
		lenient := role == Client && c.set.Overlaps(v.policy.ServerAuthClients)
		if !lenient || checkExtKeyUsage(c.path, Server, v.policy.StrictEKU) != nil {
			return f
		}
		c.relaxed = true
	}
	if f := limits.checkURIs(c.path); f != nil {
		return f
	}
	c.until, f = v.crls.check(c.path, now)
	return f
}

// ends returns when the first certificate of path ends.
func ends(path []*x509.Certificate) time.Time {
	end := path[0].NotAfter
	for _, c := range path[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}
