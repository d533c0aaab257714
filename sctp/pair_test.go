package sctp

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for what is certain to happen.
const patience = 20 * time.Second

// quick are settings with which a peer that is gone is noticed in well under four seconds.
func quick() Config {
	return Config{UDPPort: -1, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		RTOInitial: 200 * time.Millisecond, RTOMax: 400 * time.Millisecond, PingInterval: 300 * time.Millisecond, Retransmissions: 3, InitAttempts: 3}
}

// quick6 is the same over IPv6.
func quick6() Config {
	cfg := quick()
	cfg.Addresses = []netip.Addr{netip.IPv6Loopback()}
	return cfg
}

// within is a context that ends when a test has waited long enough.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// cable is a socket whose packets can be looked at, and lost.
type cable struct {
	socket
	cut  atomic.Bool                    // everything is lost, both ways
	lose atomic.Pointer[func() bool]    // asked for every packet that is sent
	seen atomic.Pointer[func(b []byte)] // sees every packet that is sent
}

func (c *cable) read(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.socket.read(b)
		if err != nil || !c.cut.Load() {
			return n, from, err
		}
	}
}

func (c *cable) write(b []byte, to netip.AddrPort) error {
	if seen := c.seen.Load(); seen != nil {
		(*seen)(append([]byte(nil), b...))
	}
	if lose := c.lose.Load(); c.cut.Load() || lose != nil && (*lose)() {
		return nil
	}
	return c.socket.write(b, to)
}

// userland opens a provider on a socket of its own, with the cable that it hangs on.
func userland(t testing.TB, cfg Config) (*stack, *cable) {
	t.Helper()
	if cfg.Kind != Raw {
		cfg.Kind = UDP
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	sock, err := openSocket(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{socket: sock}
	s := newStack(cfg, c)
	t.Cleanup(func() { _ = s.Close() })
	return s, c
}

// ends are both ends of one association, and what they hang on.
type ends struct {
	client, server           Association
	clientStack, serverStack *stack
	clientCable, serverCable *cable
	listener                 *Listener
}

// join makes two providers in userland and an association between them.
func join(t testing.TB, cfg Config) *ends {
	t.Helper()
	e := &ends{}
	e.clientStack, e.clientCable = userland(t, cfg)
	e.serverStack, e.serverCable = userland(t, cfg)
	e.meet(t)
	return e
}

// meet makes the first association between two providers.
func (e *ends) meet(t testing.TB) {
	t.Helper()
	var err error
	if e.listener, err = e.serverStack.Listen(5060); err != nil {
		t.Fatal(err)
	}
	e.client, e.server = e.dial(t)
}

// dial opens one more association.
func (e *ends) dial(t testing.TB) (client, server Association) {
	t.Helper()
	client, err := e.clientStack.Dial(within(t), e.listener.Addr(), e.serverStack.socket.local().Port())
	if err != nil {
		t.Fatal(err)
	}
	server, err = e.listener.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// message is what one side has received.
type message struct {
	text   string
	stream uint16
}

// collect serves an association, and gives what comes. The second channel has the end of it.
func collect(a Association) (<-chan message, <-chan error) {
	messages, end := make(chan message, 1000), make(chan error, 1)
	// Ends with the association.
	go func() {
		err := a.Serve(func(m []byte, stream uint16) { messages <- message{string(m), stream} })
		close(messages)
		end <- err
	}()
	return messages, end
}

// next takes the next element of a channel.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-c:
		if !ok {
			t.Fatal("it ended")
		}
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	panic("not reached")
}

// until waits until something has become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.After(patience); !ok(); {
		select {
		case <-ticker.C:
		case <-end:
			t.Fatal("it did not come true: " + what)
		}
	}
}
