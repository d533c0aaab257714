package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
	"time"
)

// Limits of the cache. A name weighs as much as it can be long in memory, so names are counted too.
const (
	maxCached      = 1024
	maxCachedNames = 64 << 10
)

// cacheKey stands for all that a verdict depends on besides the policy and the time.
type cacheKey [sha256.Size]byte

// cache remembers who was authenticated by what, so that repeated and resumed handshakes of a peer
// do not compute the same signatures over and over. Only acceptance is remembered, and no longer
// than everything that it rests on is valid.
type cache struct {
	mu    sync.Mutex // guards the fields below
	peers map[cacheKey]cached
	names int // of all peers together
	hits  uint64
}

type cached struct {
	peer  *Peer
	since time.Time // when it was verified
	until time.Time // when the first of the certificates, CRLs and the staple ends
}

// keyOf returns the key for what a peer presented.
func keyOf(chain []*x509.Certificate, role Role, staple []byte) cacheKey {
	h := sha256.New()
	var size [8]byte
	write := func(b []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	write([]byte{byte(role)})
	write(staple)
	for _, c := range chain {
		write(c.Raw)
	}
	return cacheKey(h.Sum(nil))
}

// get returns a copy of the peer that was verified under key, if that still holds at now.
func (c *cache) get(key cacheKey, now time.Time) (*Peer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, found := c.peers[key]
	if !found {
		return nil, false
	}
	if now.Before(e.since) || !now.Before(e.until) {
		c.forget(key, e)
		return nil, false
	}
	c.hits++
	peer := *e.peer
	return &peer, true
}

// put remembers peer, and forgets others where there are too many.
func (c *cache) put(key cacheKey, peer *Peer, since, until time.Time) {
	copied := *peer
	weight := peer.Identities.Len()
	if weight > maxCachedNames/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers == nil {
		c.peers = make(map[cacheKey]cached)
	}
	if old, found := c.peers[key]; found {
		c.forget(key, old)
	}
	for k, e := range c.peers {
		if len(c.peers) < maxCached && c.names+weight <= maxCachedNames {
			break
		}
		c.forget(k, e)
	}
	c.peers[key] = cached{peer: &copied, since: since, until: until}
	c.names += weight
}

func (c *cache) forget(key cacheKey, e cached) {
	delete(c.peers, key)
	c.names -= e.peer.Identities.Len()
}
