package sctp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// ended waits for the end of an association, and says how it ended.
func ended(t *testing.T, a Association) error {
	t.Helper()
	select {
	case <-a.Done():
	case <-time.After(patience):
		t.Fatal("the association did not end")
	}
	return a.Err()
}

// TestShutdown holds that a shutdown delivers what was sent before, and that both sides know who did it.
func TestShutdown(t *testing.T) {
	e := join(t, quick())
	shutDown(t, e.client, e.server)
}

// shutDown does that for one association.
func shutDown(t *testing.T, client, server Association) {
	t.Helper()
	got, end := collect(server)
	const messages = 500
	for range messages {
		if err := client.Send(within(t), make([]byte, 900), 0, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Shutdown(within(t)); err != nil {
		t.Fatal(err)
	}
	for range messages {
		next(t, got)
	}
	if err := next(t, end); !errors.Is(err, io.EOF) {
		t.Errorf("the peer's end is %v, want EOF", err)
	}
	if err := ended(t, client); !errors.Is(err, net.ErrClosed) {
		t.Errorf("our own end is %v, want closed", err)
	}
	if err := client.Send(within(t), []byte("x"), 0, true); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sending afterwards: %v", err)
	}
}

// TestShutdownBoth lets both sides shut down at once.
func TestShutdownBoth(t *testing.T) {
	e := join(t, quick())
	done := make(chan error, 1)
	// Ends with the shutdown.
	go func() { done <- e.server.Shutdown(within(t)) }()
	first := e.client.Shutdown(within(t))
	second := next(t, done)
	for _, err := range []error{first, second} {
		if err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("shutdown: %v", err)
		}
	}
	_, _ = ended(t, e.client), ended(t, e.server)
}

// TestShutdownDead holds that the shutdown of an association with a dead peer takes no longer than allowed.
func TestShutdownDead(t *testing.T) {
	e := join(t, Config{UDPPort: -1, Addresses: quick().Addresses})
	e.serverCable.cut.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := e.client.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	if err := ended(t, e.client); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the end is %v", err)
	}
}

// TestAbort holds that an abort ends both sides at once, and tells the peer why.
func TestAbort(t *testing.T) {
	e := join(t, quick())
	_, end := collect(e.server)
	e.client.Abort("certificate revoked")
	if err := ended(t, e.client); !errors.Is(err, net.ErrClosed) {
		t.Errorf("our own end is %v", err)
	}
	if err := next(t, end); !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), "certificate revoked") {
		t.Errorf("the peer's end is %v", err)
	}
	if s := e.serverStack.Stats(); s.Aborted != 1 || s.Associations != 0 {
		t.Errorf("counted %+v", s)
	}
}

// abortOne holds that both sides learn of an abort.
func abortOne(t *testing.T, client, server Association) {
	t.Helper()
	_, end := collect(server)
	client.Abort("enough")
	if err := next(t, end); !errors.Is(err, ErrAborted) {
		t.Errorf("the peer's end is %v", err)
	}
	if err := client.Err(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("our own end is %v", err)
	}
}

// TestRefused dials a port on which nobody listens.
func TestRefused(t *testing.T) {
	client, _ := userland(t, quick())
	server, _ := userland(t, quick())
	begin := time.Now()
	_, err := client.Dial(within(t), netip.AddrPortFrom(quick().Addresses[0], 5060), server.socket.local().Port())
	if !errors.Is(err, ErrRefused) {
		t.Errorf("dial: %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if s := client.Stats(); s.Dialing != 0 || s.Associations != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// TestUnanswered dials where nothing answers: the dial ends by itself, or with its context.
func TestUnanswered(t *testing.T) {
	cfg := quick()
	cfg.RTOInitial, cfg.InitAttempts = 20*time.Millisecond, 2
	client, _ := userland(t, cfg)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	port := silent.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	to := netip.AddrPortFrom(cfg.Addresses[0], 5060)
	if _, err := client.Dial(within(t), to, port); !errors.Is(err, ErrLost) {
		t.Errorf("dial: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.Dial(ctx, to, port); !errors.Is(err, context.Canceled) {
		t.Errorf("dial: %v", err)
	}
}

// TestLost holds that a peer that is gone is noticed within the configured time, idle or not.
func TestLost(t *testing.T) {
	for _, test := range []struct {
		name string
		send bool
	}{{"idle", false}, {"with something to send", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := join(t, quick())
			_, end := collect(e.client)
			e.serverCable.cut.Store(true)
			begin := time.Now()
			if test.send {
				if err := e.client.Send(within(t), []byte("anybody there"), 0, true); err != nil {
					t.Fatal(err)
				}
			}
			if err := next(t, end); !errors.Is(err, ErrLost) {
				t.Errorf("the end is %v", err)
			}
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestKept holds that an idle association between peers that are there stays, and one through a bad path too.
func TestKept(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.RTOInitial, cfg.PingInterval = 30*time.Millisecond, 30*time.Millisecond
	e := join(t, cfg)
	select {
	case <-e.client.Done():
		t.Error(e.client.Err())
	case <-e.server.Done():
		t.Error(e.server.Err())
	case <-time.After(time.Second):
	}
}

// TestRestart holds that a peer that lost its state gets a new association, and that the old one ends, which
// nobody but the peer can bring about.
func TestRestart(t *testing.T) {
	e := join(t, quick())
	_, end := collect(e.server)
	to := e.serverStack.socket.local()
	stranger, _ := userland(t, quick()) // it has the peer's address, and another UDP port
	if err := again(stranger, e.client, to).shake(within(t)); !errors.Is(err, ErrRefused) {
		t.Errorf("somebody else restarts: %v", err)
	}
	a := again(reborn(t, e.clientStack, e.clientCable), e.client, to)
	if err := a.shake(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := next(t, end); !errors.Is(err, ErrRestarted) {
		t.Errorf("the old one's end is %v", err)
	}
	server, err := e.listener.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := collect(server)
	if err := a.Send(within(t), []byte("hello again"), 0, true); err != nil {
		t.Fatal(err)
	}
	if m := next(t, got); m.text != "hello again" {
		t.Errorf("got %q", m.text)
	}
	if s := e.serverStack.Stats(); s.Restarted != 1 || s.Associations != 1 {
		t.Errorf("counted %+v", s)
	}
}

// reborn kills a provider without a word, and opens another one in its place.
func reborn(t *testing.T, s *stack, c *cable) *stack {
	t.Helper()
	c.cut.Store(true)
	cfg := quick()
	cfg.UDPPort = int(s.socket.local().Port())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = userland(t, cfg)
	return s
}

// again is an association between the ports of another, which is yet to be dialed.
func again(s *stack, old Association, to netip.AddrPort) *association {
	a := newAssociation(s, old.(*association).path, to, s.initiation(4711))
	s.mu.Lock()
	s.byPath[a.path], s.byTag[4711] = a, a
	s.mu.Unlock()
	return a
}

// TestClose holds that closing a provider ends everything that hangs on it.
func TestClose(t *testing.T) {
	e := join(t, quick())
	if _, err := e.clientStack.Dial(within(t), e.listener.Addr(), e.serverStack.socket.local().Port()); err != nil {
		t.Fatal(err) // this one stays in the listener's queue
	}
	if err := e.serverStack.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.listener.Accept(within(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if err := ended(t, e.server); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the end is %v", err)
	}
	if err := ended(t, e.client); !errors.Is(err, ErrAborted) {
		t.Errorf("the peer's end is %v", err)
	}
	if _, err := e.serverStack.Listen(5061); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen: %v", err)
	}
}
