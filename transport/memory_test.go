//go:build !race

package transport

import (
	"context"
	"runtime"
	"testing"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestIdleMemory measures what idle mutual-TLS connections cost. Both ends are in this process.
func TestIdleMemory(t *testing.T) {
	ca := newPKI(t)
	cfg := Config{Handler: &counter{}, Domains: []Domain{ca.domain(t, "example.com", "")}}
	ip := siptest.Loopback(t)
	tr := serving(t, cfg, ip)
	client := serving(t, Config{Handler: &counter{}, Domains: []Domain{ca.domain(t, "example.net", "")}}, siptest.Loopback(t))
	const n = 300
	dial := func(i int) {
		h := Hop{To: resolved(sipaddr.TLS, addrPort(ip, 5061)), Reference: "example.com"}
		ch := make(chan *Conn, 1)
		d := client.domains.Load().find("")
		x := &dialer{t: client, d: d, key: dialKey{to: h.To, reference: h.Reference}, dl: &dial{key: dialKey{to: h.To}}}
		if err := x.prepare(); err != nil {
			t.Fatal(err)
		}
		c, err := x.connect(context.Background())
		if err != nil || !c.start() {
			t.Fatal(err)
		}
		client.mu.Lock()
		client.dialing--
		client.mu.Unlock()
		client.wg.Done()
		Flow{conn: c}.Send(request(Flow{conn: c}, "OPTIONS", itoa(i)))
		close(ch)
	}
	dial(0)
	base := used()
	for i := range n {
		dial(i + 1)
	}
	eventually(t, "all there", func() bool { return tr.Stats().Connections == n+1 && tr.Stats().MessagesIn == n+1 })
	var per int64
	eventually(t, "24 KiB or less for each end", func() bool {
		per = (used() - base) / n / 2
		return per <= 24<<10
	})
	t.Logf("%d bytes for one end of an idle connection", per)
}

// used returns the bytes of heap and stacks after a collection.
func used() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
