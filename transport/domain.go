package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// domain is one local domain at work: its alias table, its connections and its dials. One without
// a name has the plain connections that belong to no served domain.
type domain struct {
	name string

	// creds is what Update gave last; nil for the one without a name.
	creds atomic.Pointer[credentials]

	// mu guards the fields below, and Conn.refused of the domain's connections.
	mu    sync.Mutex
	table *alias.Table
	conns map[alias.ConnID]*Conn     // those that rows of table name, and all others over TLS
	plain map[sipaddr.Resolved]*Conn // dialed without TLS
	dials map[dialKey]*dial          // in progress
	leads map[sipaddr.Resolved]*dial // of them, the first to each address
}

func newDomain(name string, cfg Config) *domain {
	return &domain{
		name:  name,
		table: alias.New(name, alias.Config{MaxRowsPerConn: cfg.MaxRowsPerConn}),
		conns: make(map[alias.ConnID]*Conn),
		plain: make(map[sipaddr.Resolved]*Conn),
		dials: make(map[dialKey]*dial),
		leads: make(map[sipaddr.Resolved]*dial),
	}
}

// credentials is what a Domain says, made ready for use. It is immutable.
type credentials struct {
	Domain
	generation  uint64
	identities  identity.Set // of our own certificate
	fingerprint [32]byte     // of it
	server      *tls.Config
	client      *tls.Config
	sessions    tls.ClientSessionCache
	endpoints   map[Listen]*endpoint // of the listeners with TLS
}

// domainSet is the served domains at one time. It is immutable.
type domainSet struct {
	generation uint64
	list       []*domain          // in the order of Config.Domains
	byLocal    map[string]*domain // by their own name, in lower case
	byName     map[string]*domain // by what a client may call them in SNI, normalised
	tls        *tls.Config        // picks the domain by SNI
}

// find returns the domain of that name: "" is the first one.
func (s *domainSet) find(name string) *domain {
	if name == "" && len(s.list) > 0 {
		return s.list[0]
	}
	return s.byLocal[strings.ToLower(name)] // which does not allocate when the name is in lower case
}

// serverName returns the domain that SNI asks for: exactly the name, in any case of its letters,
// of a domain, of its sent-by host or of an identity of its certificate. With no or an unknown
// name it is the first domain.
func (s *domainSet) serverName(sni string) *domain {
	if name, ok := identity.Normalize(sni); ok {
		if d := s.byName[name]; d != nil {
			return d
		}
	}
	return s.list[0]
}

// makeDomains makes the set of domains, keeping those of old that go on: their tables and their
// connections stay.
func (t *Transport) makeDomains(domains []Domain, old *domainSet) (*domainSet, error) {
	set := &domainSet{byName: make(map[string]*domain), byLocal: make(map[string]*domain, len(domains))}
	if old != nil {
		set.generation = old.generation + 1
	}
	var creds []*credentials
	for _, dc := range domains {
		cr, err := t.makeCredentials(dc, sessionsOf(len(domains)))
		if err != nil {
			return nil, err
		}
		if set.find(dc.Name) != nil && len(set.list) > 0 {
			return nil, fmt.Errorf("transport: domain %s is there twice", dc.Name)
		}
		cr.generation = set.generation
		var d *domain
		if old != nil && len(old.list) > 0 {
			d = old.find(dc.Name)
		}
		if d == nil {
			d = newDomain(dc.Name, t.cfg)
		}
		set.list = append(set.list, d)
		set.byLocal[strings.ToLower(dc.Name)] = d
		creds = append(creds, cr)
	}
	// A domain's own name goes before what another one's certificate happens to name as well.
	add := func(name string, d *domain) {
		if name, ok := identity.Normalize(name); ok && set.byName[name] == nil {
			set.byName[name] = d
		}
	}
	for _, d := range set.list {
		add(d.name, d)
	}
	for i, d := range set.list {
		host, _ := splitSentBy(creds[i].SentBy)
		add(host, d)
	}
	for i, d := range set.list {
		for _, name := range creds[i].identities.Names() {
			add(name, d)
		}
		d.creds.Store(creds[i])
	}
	if len(set.list) > 0 {
		set.tls = t.listenerTLS(set)
	}
	return set, nil
}

// check says what is missing.
func (dc *Domain) check() error {
	switch {
	case dc.Name == "":
		return errors.New("transport: domain without a name")
	case dc.Verifier == nil:
		return fmt.Errorf("transport: domain %s without a verifier", dc.Name)
	case len(dc.Certificate.Certificate) == 0:
		return fmt.Errorf("transport: domain %s without a certificate", dc.Name)
	}
	if _, err := leafOf(&dc.Certificate); err != nil {
		return fmt.Errorf("transport: certificate of domain %s: %w", dc.Name, err)
	}
	return nil
}

// sessionsOf is how many TLS sessions with servers each of n domains keeps, to be resumed: a session
// is some kilobytes, and a thousand domains must not cost a thousand times as much as one.
func sessionsOf(n int) int { return max(16, min(1024, 16384/n)) }

func (t *Transport) makeCredentials(dc Domain, sessions int) (*credentials, error) {
	if err := dc.check(); err != nil {
		return nil, err
	}
	if dc.SentBy == "" {
		dc.SentBy = dc.Name
	}
	leaf, err := leafOf(&dc.Certificate)
	if err != nil {
		return nil, fmt.Errorf("transport: certificate of domain %s: %w", dc.Name, err)
	}
	cr := &credentials{
		Domain:      dc,
		identities:  identity.FromCertificate(leaf, true),
		fingerprint: sha256.Sum256(leaf.Raw),
		sessions:    tls.NewLRUClientSessionCache(sessions),
		endpoints:   make(map[Listen]*endpoint),
	}
	cr.server = serverTLS(cr)
	cr.client = clientTLS(cr)
	return cr, nil
}

// uriHost returns the host for Record-Route: RFC 5922, Section 7.5 demands one that the
// certificate names. It is the sent-by host or the domain when possible.
func (cr *credentials) uriHost() string {
	host, _ := splitSentBy(cr.SentBy)
	switch {
	case cr.identities.Contains(host):
		return host
	case cr.identities.Contains(cr.Name):
		return cr.Name
	case cr.identities.Len() > 0:
		return cr.identities.Names()[0]
	}
	return host
}

// endpoint returns what this domain says of itself over a listener with TLS.
func (t *Transport) endpoint(cr *credentials, listen Listen) *endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	ep := cr.endpoints[listen]
	if ep == nil {
		ep = tlsEndpoint(listen, cr.Name, cr.SentBy, cr.uriHost(), !t.cfg.NoAlias)
		cr.endpoints[listen] = ep
		t.addEndpointLocked(ep)
	}
	return ep
}

// forgetSession makes sure that the TLS session of c is not resumed.
func (d *domain) forgetSession(c *Conn) {
	if cr := d.creds.Load(); cr != nil && c.direction == alias.Dialed {
		cr.sessions.Put(sessionKey(c.dialed, c.reference), nil)
	}
}
