package transport

import (
	"runtime"
	"time"
	_ "unsafe" // for go:linkname
)

// yieldAfter is well below the 10 ms after which Go's monitor thread takes the processor away from a goroutine that does
// not let go of it, in the midst of its wait for events. Finding one again costs two threads their sleep, and the monitor
// then looks every 20 microseconds for a while. It counts in steps of 10 ms, and a turn may be long.
const yieldAfter = 3 * time.Millisecond

// goyield lets the goroutines that this processor of Go's has queued run first, as runtime.Gosched does, without waking
// a thread to help with them. The runtime keeps its name and signature for those who link to it.
//
//go:linkname goyield runtime.goyield
func goyield()

// yield lets the scheduler have its turn, from time to time.
func (l *loop) yield() {
	now := time.Now()
	if now.Sub(l.yielded) <= yieldAfter {
		return
	}
	l.yielded = now
	if runtime.GOMAXPROCS(0) > max(1, l.t.cfg.Loops) {
		goyield()
	} else {
		runtime.Gosched() // nobody else serves the queue that all processors share
	}
}
