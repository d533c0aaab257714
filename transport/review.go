package transport

// This file holds the connections that stand open against what Update has brought. Update goes through all
// of them; a connection that is needed before its turn has come is reviewed by whoever needs it, so that
// from the moment of the change on nothing goes by the old rules, however many connections there are.

import (
	"errors"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
)

// errLess is why a connection ends whose peer proves less than before, such as an identity that a new trust
// anchor's constraints forbid.
var errLess = errors.New("transport: certificate of the peer proves less than before")

// settled returns the Source that messages of c come with now. It is what every reader of c.source goes by.
func (c *Conn) settled() *Source {
	src := c.source.Load()
	if set := c.t.domains.Load(); src.generation < set.generation {
		c.review(set)
		src = c.source.Load()
	}
	return src
}

// review holds c against the domains that Update has brought. It may be called by several at once.
func (c *Conn) review(set *domainSet) {
	distrusted := false
	switch {
	case !c.served(set):
		distrusted = true // nobody is left to believe the peer
		c.beginClose(ErrUnknownDomain)
	case c.peer != nil:
		if err := c.verifyAgain(); err != nil {
			distrusted = true
			if c.beginClose(errTrust) {
				c.t.cfg.Logger.Info("peer is no longer trusted", "conn", uint64(c.id), "peer", c.remote, "err", err)
			}
		} else {
			c.reconsider()
		}
	}
	c.judge(set.generation, distrusted)
}

// served reports whether the local domain of c is among those of set, or of one that came after it.
func (c *Conn) served(set *domainSet) bool {
	return c.domain == c.t.nameless || c.domain.creds.Load().generation >= set.generation
}

// verifyAgain authenticates the peer once more, with the Verifier of now. It has to prove all that the rows
// and the judgement of c were made from.
func (c *Conn) verifyAgain() error {
	role := identity.Client
	if c.direction == alias.Dialed {
		role = identity.Server
	}
	peer, err := c.domain.creds.Load().Verifier.VerifyConnection(c.tls.ConnectionState(), role, c.reference)
	if err != nil {
		return err
	}
	for _, name := range c.peer.Identities.Names() {
		if !peer.Identities.Contains(name) {
			return errLess
		}
	}
	if c.peer.MayAlias && !peer.MayAlias || peer.NotAfter.Before(c.peer.NotAfter) {
		return errLess
	}
	return nil
}

// judge makes the Source that the messages of c are given with, unless a later generation has made one.
func (c *Conn) judge(generation uint64, distrusted bool) {
	src := &Source{
		Flow:       Flow{conn: c},
		Remote:     c.remote,
		Local:      c.local,
		Transport:  c.ep.advertised.Transport,
		Peer:       c.peer,
		generation: generation,
	}
	if c.tls != nil {
		src.LocalDomain = c.domain.name
	}
	if c.t.cfg.Judge != nil {
		info := c.info()
		info.Distrusted = distrusted
		src.User = c.t.cfg.Judge(info)
	}
	src.pingEvery = c.configuredPing(src.User)
	for {
		old := c.source.Load()
		if old != nil && old.generation > generation || c.source.CompareAndSwap(old, src) {
			c.rouse() // pings may be due more often
			return
		}
	}
}

// turnedDown returns why a connection that was just dialed is of no use: the rules have changed while it was
// in the making. It returns nil when it is.
func (c *Conn) turnedDown() error {
	c.settled()
	if c.State() == Open {
		return nil
	}
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	switch {
	case errors.Is(cause, errTrust):
		return &AuthError{To: c.dialed, Reference: c.reference, Names: namesOf(c.tls.ConnectionState().PeerCertificates), Err: errTrust}
	case errors.Is(cause, ErrUnknownDomain):
		return ErrUnknownDomain
	}
	return nil
}
