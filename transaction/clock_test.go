package transaction

import (
	"testing"
	"time"
)

// At rest nothing ticks: with no timer set, the goroutine of Run sleeps for good.
func TestIdle(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		if tick(l.clock.asleep.Load()) != never {
			t.Error("a new layer has something to wait for")
		}
		bye := request("BYE", "pc.example.org;branch="+testBranch)
		if _, err := l.Start([]byte(bye), testBranch, "BYE", udp(), u); err != nil {
			t.Fatal(err)
		}
		after(0)
		if tick(l.clock.asleep.Load()) == never {
			t.Error("nobody looks after Timer E")
		}
		l.Receive(parse(t, respond(t, bye, 200)), source(udp()))
		afterEnd(l, 5*time.Second)
		if tick(l.clock.asleep.Load()) != never {
			t.Error("the layer is empty and still waits for something")
		}
	})
}
