package sctp

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMessages sends messages of many lengths both ways, on all streams, ordered and not.
func TestMessages(t *testing.T) {
	e := join(t, quick())
	exchange(t, e.client, e.server)
}

// exchange sends messages both ways.
func exchange(t *testing.T, client, server Association) {
	for _, way := range []struct {
		name     string
		from, to Association
	}{{"from the client", client, server}, {"from the server", server, client}} {
		t.Run(way.name, func(t *testing.T) {
			got, _ := collect(way.to)
			for i, length := range []int{1, 2, 100, 1419, 1420, 1421, 2048, 2049, 5000, 18437, 65535, 65536} {
				for _, unordered := range []bool{false, true} {
					want := message{strings.Repeat(string(rune('a'+i)), length), uint16(i)}
					if err := way.from.Send(within(t), []byte(want.text), want.stream, unordered); err != nil {
						t.Fatal(err)
					}
					if m := next(t, got); m != want {
						t.Fatalf("%d bytes on stream %d came as %d bytes on stream %d", length, i, len(m.text), m.stream)
					}
				}
			}
		})
	}
}

// TestMessageLimits holds which messages and streams are refused where they are sent.
func TestMessageLimits(t *testing.T) {
	e := join(t, quick())
	for _, test := range []struct {
		name   string
		length int
		stream uint16
		want   error
	}{{"empty", 0, 0, ErrLength}, {"too long", 65537, 0, ErrLength}, {"no such stream", 1, 16, ErrStream}} {
		t.Run(test.name, func(t *testing.T) {
			if err := e.client.Send(within(t), make([]byte, test.length), test.stream, true); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := e.client.OpenStream(16); !errors.Is(err, ErrStream) {
		t.Errorf("opening stream 16: %v", err)
	}
}

// TestOrder sends on many streams at once over a path that loses packets: each ordered stream stays in order,
// and everything arrives once.
func TestOrder(t *testing.T) {
	const streams, each = 8, 60
	e := join(t, quick())
	lose := func() bool { return mathrand.N(100) < 3 }
	e.clientCable.lose.Store(&lose)
	got, _ := collect(e.server)
	var senders sync.WaitGroup
	for s := range uint16(streams) {
		senders.Go(func() {
			for i := range each {
				if err := e.client.Send(context.Background(), []byte(fmt.Sprint(i, strings.Repeat(".", mathrand.N(3000)))), s, s%2 == 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := make(map[uint16][]int)
	for range streams * each {
		m := next(t, got)
		var n int
		if _, err := fmt.Sscan(strings.TrimRight(m.text, "."), &n); err != nil {
			t.Fatal(err)
		}
		seen[m.stream] = append(seen[m.stream], n)
	}
	senders.Wait()
	for s, list := range seen {
		have := make(map[int]bool)
		for i, n := range list {
			have[n] = true
			if s%2 == 0 && n != i {
				t.Fatalf("stream %d: message %d came as number %d", s, n, i)
			}
		}
		if len(have) != each {
			t.Errorf("stream %d: %d of %d messages came", s, len(have), each)
		}
	}
}

// TestFullBuffer holds that a sender waits for a receiver that does not read, no longer than it wants to, and
// that nothing is lost by it.
func TestFullBuffer(t *testing.T) {
	e := join(t, quick())
	fillBuffer(t, e.client, e.server)
}

// fillBuffer does that for one association.
func fillBuffer(t *testing.T, client, server Association) {
	t.Helper()
	open, sent := make(chan struct{}), 0
	got := make(chan int, 10000)
	// Ends with the association.
	go func() {
		_ = server.Serve(func(m []byte, _ uint16) {
			<-open
			got <- len(m)
		})
	}()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		err := client.Send(ctx, make([]byte, 8<<10), 0, true)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if sent++; sent*(8<<10) > 2<<20 {
			t.Fatal("nothing held the sender back")
		}
	}
	close(open)
	for range sent {
		next(t, got)
	}
	if err := client.Err(); err != nil {
		t.Error(err)
	}
}
