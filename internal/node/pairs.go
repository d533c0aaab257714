package node

// Connections to configured peers stand open before a request needs them. Plain TCP carries no requests backwards
// (RFC 5923, Section 9.3), so each of two proxies opens one of its own towards the other; over TLS it saves the
// first request the handshake. It is done for what the configuration names and for nothing that a message names.

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transport"
)

const (
	// maxPairDomains bounds the served domains on whose behalf connections stand open to one peer.
	maxPairDomains = 8
	// maxPairAddresses bounds the addresses of one URI to which connections stand open.
	maxPairAddresses = 4
	// pairBackOff is the time after the first failure before another attempt; it doubles up to pairBackOffMost. Up
	// to half of it is left out by chance, so that not all come at once to a peer that is back.
	pairBackOff     = 500 * time.Millisecond
	pairBackOffMost = time.Minute
	// pairLives is how long a connection has to have lasted for its loss to be no failure.
	pairLives = 10 * time.Second
	// pairLook is how often it is looked whether a connection takes requests still.
	pairLook = 2 * time.Second
)

// pairs keeps connections open to configured peers.
type pairs struct {
	node *Node
	wg   sync.WaitGroup

	// mu guards the fields below.
	mu      sync.Mutex
	running bool
	stopped bool
	keepers map[pairKey]*keeper
}

// pairKey is where a connection leads, and on whose behalf.
type pairKey struct{ uri, domain string }

// keeper keeps the connections of one URI and one served domain open.
type keeper struct {
	pairKey
	node   *Node
	parsed *sip.URI
	cancel context.CancelFunc
	lost   chan struct{} // holds one; told that a connection has ended, one of these or not
}

// wantedPairs returns what a configuration wants to stand open.
func wantedPairs(cfg *config.Config) map[pairKey]*sip.URI {
	want := make(map[pairKey]*sip.URI)
	for _, p := range cfg.Peers {
		for _, u := range p.Connect {
			if len(cfg.Domains) == 0 {
				want[pairKey{uri: u.String()}] = u
			}
			for _, d := range cfg.Domains[:min(len(cfg.Domains), maxPairDomains)] {
				want[pairKey{u.String(), d.Name}] = u
			}
		}
	}
	return want
}

// run begins to keep open what the configuration in force wants.
func (p *pairs) run() {
	p.mu.Lock()
	p.running = true
	p.mu.Unlock()
	p.update()
}

// update keeps open what the configuration in force wants, and leaves alone what it does not want any more: that
// is closed by whoever has no use for it.
func (p *pairs) update() {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := wantedPairs(p.node.Config())
	if !p.running || p.stopped {
		return
	}
	for key, k := range p.keepers {
		if want[key] == nil {
			k.cancel()
			delete(p.keepers, key)
		}
	}
	for key, u := range want {
		if p.keepers[key] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		k := &keeper{pairKey: key, node: p.node, parsed: u, cancel: cancel, lost: make(chan struct{}, 1)}
		p.keepers[key] = k
		p.wg.Add(1)
		// Ends when the pair is no longer wanted, or by stop, which waits for it.
		go func() {
			defer p.wg.Done()
			k.run(ctx)
		}()
	}
}

// stop ends it for good: what is open stays so, and nothing is opened any more.
func (p *pairs) stop() {
	p.mu.Lock()
	p.stopped = true
	for key, k := range p.keepers {
		k.cancel()
		delete(p.keepers, key)
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// ended tells all keepers that a connection has ended. They know whether it was theirs.
func (p *pairs) ended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.keepers {
		select {
		case k.lost <- struct{}{}:
		default:
		}
	}
}

// run looks up where the URI leads, sees to it that connections are open to there, and does so again when one is
// lost, when another attempt is due, and when the answer is out of date.
func (k *keeper) run(ctx context.Context) {
	failures := 0
	for {
		open, expires, ok := k.open(ctx)
		begun := time.Now()
		if !ok {
			failures++
			if !k.pause(ctx, backOff(failures)) {
				return
			}
			continue
		}
		if !k.watch(ctx, open, expires) {
			return
		}
		if !expires.IsZero() && !time.Now().Before(expires) {
			continue // nothing was lost
		}
		if time.Since(begun) >= pairLives {
			failures = 0
		}
		failures++
		if !k.pause(ctx, backOff(failures)) {
			return
		}
	}
}

// backOff returns how long to wait after so many failures in a row.
func backOff(failures int) time.Duration {
	d := min(pairBackOff<<min(failures-1, 16), pairBackOffMost)
	return d - rand.N(d/2+1)
}

// pause waits, and reports false when it is over altogether.
func (k *keeper) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// open opens a connection to each address of the URI, unless there is one, and returns them. It is not ok when one
// could not be opened, or there is no address.
func (k *keeper) open(ctx context.Context) (conns []alias.ConnID, expires time.Time, ok bool) {
	type located struct {
		resolve.Answer
		err error
	}
	found := make(chan located, 1)
	network{k.node}.Locate(k.parsed, func(a resolve.Answer, err error) { found <- located{a, err} })
	var answer located
	select {
	case answer = <-found:
	case <-ctx.Done():
		return nil, expires, false
	}
	if answer.err != nil {
		k.node.log.Debug("connection in advance: no address", "peer", k.uri, "err", answer.err)
		return nil, expires, false
	}
	ok = true
	for _, to := range answer.Addresses {
		if !to.Transport.Reliable() || len(conns) == maxPairAddresses {
			continue
		}
		id, err := k.connect(ctx, to)
		if err != nil {
			k.node.log.Debug("connection in advance failed", "peer", k.uri, "err", err)
			ok = false
			continue
		}
		conns = append(conns, id)
	}
	if answer.Stale {
		answer.Expires = time.Now().Add(pairBackOffMost)
	}
	return conns, answer.Expires, ok && len(conns) > 0
}

// connect opens a connection to an address, or finds the one that is open.
func (k *keeper) connect(ctx context.Context, to sipaddr.Resolved) (alias.ConnID, error) {
	type connected struct {
		id  alias.ConnID
		err error
	}
	done := make(chan connected, 1)
	network{k.node}.Connect(proxy.Hop{To: to, URI: k.parsed, LocalDomain: k.domain}, func(f proxy.Flow, err error) {
		if err != nil {
			done <- connected{err: err}
			return
		}
		done <- connected{id: alias.ConnID(f.ID())}
	})
	select {
	case c := <-done:
		return c.id, c.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// watch waits until one of the connections takes no requests any more, or the answer has expired. It reports false
// when it is over altogether.
func (k *keeper) watch(ctx context.Context, conns []alias.ConnID, expires time.Time) bool {
	tick := time.NewTicker(pairLook)
	defer tick.Stop()
	var expired <-chan time.Time
	if !expires.IsZero() {
		timer := time.NewTimer(max(time.Until(expires), time.Second)) // a TTL of 0 is no reason for haste
		defer timer.Stop()
		expired = timer.C
	}
	for {
		for _, id := range conns {
			if c, there := k.node.net.Connection(id); !there || c.State != transport.Open {
				return true
			}
		}
		select {
		case <-tick.C:
		case <-k.lost:
		case <-expired:
			return true
		case <-ctx.Done():
			return false
		}
	}
}
