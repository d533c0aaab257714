package node_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

const (
	wallPeers = 100
	wallRate  = 400 // requests a second to the peers that read
)

// TestOneOfManyNeverReads: of 100 peers one never reads. What it holds up is its own: the 99th percentile of the
// others' answers moves by less than 5 ms, and less than 256 KiB wait for it in this process.
func TestOneOfManyNeverReads(t *testing.T) {
	// A time says something on a quiet machine only. The machine is shared even so: both are measured several times, by turns,
	// and the best of each counts.
	rounds, long := 3, 2*time.Second
	if !timed {
		t.Parallel()
		rounds, long = 1, time.Second
	}
	s := newStand(t, plan{deaf: true})
	uris := make([]string, wallPeers)
	farms := make([]*farm, wallPeers)
	for i := range farms {
		ip, name := siptest.Loopback(t), fmt.Sprintf("h%d.example.net", i)
		farms[i] = newFarm(t, at(ip, sipaddr.TLS), s.ca.Domain(t, name).TLS())
		uris[i] = fmt.Sprintf("sip:bob@%s;transport=tls", name)
		s.record(fmt.Sprintf("%s. 600 IN A %s", name, ip))
	}
	wall := farms[0]
	a := newAsker(t, s.alice.Addr(), s.p.at(sipaddr.UDP))
	warm := make(chan struct{}, wallPeers)
	for _, uri := range uris[1:] {
		a.ask(uri, 10, func(int, time.Duration) { warm <- struct{}{} })
	}
	for range uris[1:] {
		<-warm
	}

	measure := func(d time.Duration, beside func(i int)) (p50, p99 time.Duration) {
		var mu sync.Mutex
		var took []time.Duration
		tick := time.NewTicker(time.Second / wallRate)
		defer tick.Stop()
		n := int(d.Seconds() * wallRate)
		for i := range n {
			<-tick.C
			a.ask(uris[1+i%(wallPeers-1)], 200, func(status int, after time.Duration) {
				if status != 200 {
					t.Errorf("answered %d", status)
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, after)
			})
			if beside != nil {
				beside(i)
			}
		}
		eventually(t, "all are answered", func() bool { mu.Lock(); defer mu.Unlock(); return len(took) == n })
		slices.Sort(took)
		return took[len(took)/2], took[len(took)*99/100]
	}

	quiet50, quiet99, wall50, wall99 := time.Hour, time.Hour, time.Hour, time.Hour
	wall.deaf.Store(true)
	queued, sent := 0, 0
	var heap uint64
	for range rounds {
		p50, p99 := measure(long, nil)
		quiet50, quiet99 = min(quiet50, p50), min(quiet99, p99)
		p50, p99 = measure(long, func(i int) {
			if i%4 == 0 {
				a.ask(uris[0], 20_000, nil)
				sent++
			}
			if i%20 == 0 {
				for _, c := range s.p.Connections() {
					queued = max(queued, c.Queued)
				}
			}
		})
		wall50, wall99 = min(wall50, p50), min(wall99, p99)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = max(heap, m.HeapAlloc)
	}
	t.Logf("without: p50 %v, p99 %v; with %d requests of 20 kB to a peer that never reads: p50 %v, p99 %v; %d bytes waited for one connection at most; heap %d KiB",
		quiet50, quiet99, sent, wall50, wall99, queued, heap>>10)
	if timed && wall99-quiet99 > 5*time.Millisecond {
		t.Errorf("the 99th percentile moved by %v", wall99-quiet99)
	}
	if queued >= 256<<10+20_000 {
		t.Errorf("%d bytes waited for one connection", queued)
	}
	within(t, 30*time.Second, "the requests to the peer that never reads have final responses", func() bool { return a.left() == 0 })
}
