package sctp

import (
	"encoding/binary"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// forger sends whatever it likes to a provider, from the address and UDP port of its own. Every test runs on
// one machine, so the address is also that of the true peer.
type forger struct {
	t    *testing.T
	conn net.PacketConn
	to   net.Addr
	tag  uint32 // of the last settle
}

func newForger(t *testing.T, s *stack) *forger {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &forger{t: t, conn: conn, to: net.UDPAddrFromAddrPort(s.socket.local())}
}

func (f *forger) send(p packet) {
	f.t.Helper()
	if _, err := f.conn.WriteTo(p, f.to); err != nil {
		f.t.Fatal(err)
	}
}

// settle waits until everything that was sent has been handled.
func (f *forger) settle() {
	f.t.Helper()
	f.tag++
	begin := initiation{tag: f.tag, window: 1 << 16, streamsOut: 1, streamsIn: 1}
	until(f.t, "everything was handled", func() bool {
		f.send(control(path{local: 9, remote: 5060}, 0, chunkInit, 0, begin.append(nil)))
		b := make([]byte, maxPacket)
		for {
			_ = f.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			n, _, err := f.conn.ReadFrom(b)
			if err != nil {
				return false
			}
			if p, err := parse(b[:n]); err == nil && p.tag() == begin.tag && p.first().kind() == chunkInitAck {
				return true
			}
		}
	})
}

// works holds that an association carries messages both ways.
func works(t *testing.T, e *ends, client, server <-chan message) {
	t.Helper()
	for range 3 {
		if err := e.client.Send(within(t), []byte("there"), 0, true); err != nil {
			t.Fatal(err)
		}
		if m := next(t, server); m.text != "there" {
			t.Fatalf("got %q", m.text)
		}
		if err := e.server.Send(within(t), []byte("back"), 0, true); err != nil {
			t.Fatal(err)
		}
		if m := next(t, client); m.text != "back" {
			t.Fatalf("got %q", m.text)
		}
	}
}

// TestForged sends what somebody might send who knows addresses and ports, and no verification tag: nothing of
// it ends or disturbs an association.
func TestForged(t *testing.T) {
	e := join(t, quick())
	client, _ := collect(e.client)
	server, _ := collect(e.server)
	a := e.server.(*association)
	wrong := a.local.tag + 1
	toServer := path{local: a.path.remote, remote: a.path.local}
	begin := initiation{tag: 99, window: 1 << 16, streamsOut: 1, streamsIn: 1, tsn: 1}.append(nil)
	forgeries := []packet{
		control(toServer, wrong, chunkAbort, 0, nil),
		control(toServer, 0, chunkAbort, 0, nil),
		control(toServer, wrong, chunkAbort, flagTag, nil),
		control(toServer, a.local.tag, chunkAbort, flagTag, nil), // the right tag, but of the wrong side
		control(toServer, wrong, chunkShutdown, 0, []byte{0, 0, 0, 1}),
		control(toServer, wrong, chunkShutdownAck, 0, nil),
		control(toServer, wrong, chunkShutdownComplete, 0, nil),
		control(toServer, wrong, chunkShutdownComplete, flagTag, nil),
		control(toServer, wrong, chunkData, 3, []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'x'}),
		control(toServer, wrong, chunkSack, 0, make([]byte, 12)),
		control(toServer, wrong, chunkError, 0, cause(causeStaleCookie, make([]byte, 4))),
		control(toServer, wrong, chunkCookieEcho, 0, make([]byte, 100)),
		control(toServer, wrong, chunkCookieAck, 0, nil),
		control(toServer, wrong, chunkInitAck, 0, begin),
		control(toServer, 0, chunkInit, 0, begin), // the forger has another UDP port
		control(toServer, wrong, chunkInit, 0, begin),
		control(toServer, wrong, chunkPing, 0, []byte{0, 1, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0}),
	}
	f := newForger(t, e.serverStack)
	for _, p := range forgeries {
		f.send(p)
	}
	until(t, "the forgeries were counted", func() bool {
		s := e.serverStack.Stats()
		return s.WrongTag+s.Inits+s.BadCookies+s.Malformed == uint64(len(forgeries)+1) // and the true INIT
	})
	works(t, e, client, server)
	if s := e.serverStack.Stats(); s.Associations != 1 || s.Restarted != 0 {
		t.Errorf("counted %+v", s)
	}
	if to := a.target(); to != e.clientStack.socket.local() {
		t.Errorf("packets go to %v now", to)
	}
}

// TestForgedCookie sends cookies that were changed, that are of another provider, or for another path.
func TestForgedCookie(t *testing.T) {
	e := join(t, quick())
	a := e.server.(*association)
	st := state{path: path{peer: a.path.peer, local: 5060, remote: 777}, local: initiation{tag: 5}, peer: initiation{tag: 6, window: 1 << 16, streamsOut: 1, streamsIn: 1}}
	st.made = time.Now()
	good := e.serverStack.secret.sign(&st)
	if got, ok := e.serverStack.secret.open(good); !ok || got.path != st.path || got.peer != st.peer || got.local != st.local {
		t.Fatalf("a good cookie came back as %+v, %v", got, ok)
	}
	to := path{local: 777, remote: 5060}
	f := newForger(t, e.serverStack)
	sent := uint64(0)
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		f.send(control(to, 5, chunkCookieEcho, 0, bad))
		sent++
	}
	for n := range len(good) {
		f.send(control(to, 5, chunkCookieEcho, 0, good[:n]))
		sent++
	}
	f.send(control(to, 4, chunkCookieEcho, 0, good))                             // another tag
	f.send(control(path{local: 778, remote: 5060}, 5, chunkCookieEcho, 0, good)) // another port
	f.send(control(to, 5, chunkCookieEcho, 0, newSecret().sign(&st)))            // somebody else's
	st.made = st.made.Add(-2 * cookieLife)
	f.send(control(to, 5, chunkCookieEcho, 0, e.serverStack.secret.sign(&st))) // stale
	sent += 4
	until(t, "the cookies were counted", func() bool { return e.serverStack.Stats().BadCookies == sent })
	if s := e.serverStack.Stats(); s.Associations != 1 || s.Accepted != 1 {
		t.Errorf("counted %+v", s)
	}
}

// heap is how many bytes are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestInitFlood sends 20,000 wishes for an association, from as many ports: each is answered or dropped, and
// nothing is kept of any.
func TestInitFlood(t *testing.T) {
	const flood = 20000
	e := join(t, quick())
	client, _ := collect(e.client)
	server, _ := collect(e.server)
	f := newForger(t, e.serverStack)
	goroutines, before := runtime.NumGoroutine(), heap()
	for i := range flood {
		begin := initiation{tag: mathrand.Uint32() | 1, window: 1 << 16, streamsOut: 1, streamsIn: 1, tsn: uint32(i)}
		f.send(control(path{local: uint16(1 + i), remote: 5060}, 0, chunkInit, 0, begin.append(nil)))
		if i%100 == 99 { // what the socket's buffer cannot hold would be no test of what is behind it
			until(t, "they were answered", func() bool { return e.serverStack.Stats().Inits+1 >= uint64(i)-50 })
		}
	}
	works(t, e, client, server)
	s := e.serverStack.Stats()
	t.Logf("%d of %d were answered", s.Inits, flood)
	if s.Inits < flood*9/10 || s.Associations != 1 {
		t.Errorf("counted %+v", s)
	}
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d bytes in use, %d before", after, before)
	}
}

// TestMutated records true packets and sends them damaged, with right checksums. Those with a tag that was
// spoilt leave all associations as they are; those with the right one may end the association that they are
// for, and nothing else. Goroutines and memory are then what they were. TANDEM_PACKETS says how many are sent.
func TestMutated(t *testing.T) {
	packets := 3000
	if n, err := strconv.Atoi(os.Getenv("TANDEM_PACKETS")); err == nil {
		packets = n
	}
	e := join(t, quick())
	bystander := &ends{clientStack: e.clientStack, serverStack: e.serverStack, listener: e.listener}
	bystander.client, bystander.server = e.dial(t)
	bc, _ := collect(bystander.client)
	bs, _ := collect(bystander.server)
	works(t, bystander, bc, bs) // now all its goroutines run
	var mu sync.Mutex
	var recorded [][]byte
	record := func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		if len(recorded) < 200 {
			recorded = append(recorded, b)
		}
	}
	e.clientCable.seen.Store(&record)
	goroutines, before := runtime.NumGoroutine(), heap()
	f := newForger(t, e.serverStack)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for sent := 0; sent < packets; {
		client, server := e.dial(t)
		got, _ := collect(server)
		for i := range 3 {
			if err := client.Send(within(t), make([]byte, 100+1000*i), uint16(i), i == 0); err != nil {
				t.Fatal(err)
			}
			next(t, got)
		}
		mu.Lock()
		originals := recorded
		recorded = nil
		mu.Unlock()
		tag := server.(*association).local.tag
		originals = slices.DeleteFunc(originals, func(b []byte) bool { // no packets of the bystander's
			return packet(b).tag() != tag && packet(b).tag() != 0
		})
		for range 300 {
			p := append(packet(nil), originals[random.IntN(len(originals))]...)
			mutate(random, p)
			if random.IntN(2) == 0 {
				binary.BigEndian.PutUint32(p[4:], tag^uint32(1+random.IntN(1<<20)))
			}
			p.seal(p.sourcePort(), p.destinationPort())
			f.send(p)
			sent++
		}
		f.settle()
		client.Abort("done")
		server.Abort("done")
		for len(e.listener.waiting) > 0 {
			a, err := e.listener.Accept(within(t))
			if err != nil {
				t.Fatal(err)
			}
			a.Abort("nobody wanted it")
		}
	}
	works(t, bystander, bc, bs)
	gone(t, goroutines)
	until(t, "memory came back", func() bool { return heap() < before+2<<20 })
}

// mutate damages a packet: bits, bytes, chunk types and lengths.
func mutate(random *mathrand.Rand, p packet) {
	for range 1 + random.IntN(4) {
		at := headerSize + random.IntN(len(p)-headerSize)
		switch random.IntN(5) {
		case 0:
			p[at] ^= 1 << random.IntN(8)
		case 1:
			p[at] = byte(random.IntN(256))
		case 2:
			p[headerSize] = byte(random.IntN(20))
		case 3:
			p[headerSize+1] = byte(random.IntN(256))
		case 4:
			binary.BigEndian.PutUint16(p[headerSize+2:], uint16(random.IntN(len(p))))
		}
	}
}

// TestPacketLimits holds what is taken for a packet.
func TestPacketLimits(t *testing.T) {
	good := control(path{netip.Addr{}, 1, 2}, 3, chunkPing, 0, []byte{0, 1, 0, 5, 9})
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := parse(good[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken for a packet", n, len(good))
		}
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[n] ^= 1 << bit
			if _, err := parse(bad); err == nil {
				t.Errorf("byte %d with bit %d turned is taken for a packet", n, bit)
			}
		}
	}
}
