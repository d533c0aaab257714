package resolve

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// shards is how many parts a cache has, so that readers on many cores do not share one lock.
const shards = 16

// kept is what a cache needs to know of what it keeps.
type kept interface {
	comparable
	negative() bool    // of the least use
	expiry() time.Time // of less use the sooner
}

// cache keeps up to a number of values. Values stay beyond their expiry until they are in the way, since
// an old answer may still be wanted while DNS fails.
type cache[K comparable, V kept] struct {
	seed    maphash.Seed
	most    int // in one shard
	parts   *[shards]shard[K, V]
	evicted *atomic.Uint64
}

// shard is one part of a cache.
type shard[K comparable, V kept] struct {
	mu sync.RWMutex // guards the field below
	m  map[K]V
}

// newCache makes a cache for about most values.
func newCache[K comparable, V kept](most int) cache[K, V] {
	c := cache[K, V]{
		seed: maphash.MakeSeed(), most: max(1, most/shards),
		parts: new([shards]shard[K, V]), evicted: new(atomic.Uint64),
	}
	for i := range c.parts {
		c.parts[i].m = make(map[K]V)
	}
	return c
}

// part finds the shard of a key by the name in it.
func (c *cache[K, V]) part(name string) *shard[K, V] {
	return &c.parts[maphash.String(c.seed, name)%shards]
}

// get gives the value of key, or the zero value. The name is that in the key.
func (c *cache[K, V]) get(name string, key K) V {
	s := c.part(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[key]
}

// put keeps a value, and drops another when there are too many. Out of a few that chance brings up it
// drops a negative one, or the one that expires first: so a storm of names that do not exist pushes out
// its own traces before it pushes out anybody's addresses.
func (c *cache[K, V]) put(name string, key K, value V) {
	s := c.part(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.m[key]; !ok && len(s.m) >= c.most {
		var worst K
		var worstValue V
		seen := 0
		for k, v := range s.m { // in random order
			if seen == 0 || lessUseful(v, worstValue) {
				worst, worstValue = k, v
			}
			if seen++; seen == 8 {
				break
			}
		}
		delete(s.m, worst)
		c.evicted.Add(1)
	}
	s.m[key] = value
}

// lessUseful tells whether a should be dropped before b.
func lessUseful[V kept](a, b V) bool {
	if a.negative() != b.negative() {
		return a.negative()
	}
	return a.expiry().Before(b.expiry())
}

// len counts what is kept.
func (c *cache[K, V]) len() int {
	n := 0
	for i := range c.parts {
		s := &c.parts[i]
		s.mu.RLock()
		n += len(s.m)
		s.mu.RUnlock()
	}
	return n
}
