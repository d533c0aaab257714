package node

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/transport"
)

// hostsLook is how often it is looked whether the machine has other addresses than before, where a listener is on all
// of them.
const hostsLook = 10 * time.Second

// watchHosts takes addresses for our own that the machine got while it runs, until ctx is done.
func (n *Node) watchHosts(ctx context.Context, every time.Duration) {
	onAll := func(l config.Listen) bool { return l.Addr.Addr().IsUnspecified() }
	if !slices.ContainsFunc(n.Config().Listen, onAll) {
		return // listeners are fixed
	}
	known := ownHosts(n.net.Addrs())
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := ownHosts(n.net.Addrs())
		if slices.Equal(now, known) {
			continue
		}
		known = now
		n.reloading.Lock()
		n.core.Update(n.inForce.Load().rules(n.net.Addrs()))
		n.reloading.Unlock()
		n.log.Info("the addresses of this machine have changed", "now", len(now))
	}
}

// ownHosts returns how the listen addresses may stand in URIs.
func ownHosts(listening []transport.Listen) (hosts []string) {
	seen := make(map[netip.Addr]bool)
	for _, l := range listening {
		if ip := l.Addr.Addr(); !seen[ip] {
			seen[ip] = true
			hosts = append(hosts, hostsOf(ip)...)
		}
	}
	slices.Sort(hosts)
	return hosts
}
