package node

import (
	"bytes"
	"context"
	"sync"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/hep"
)

// exports is who sends copies of messages to a collector. Those who change it hold Node.reloading.
type exports struct {
	was  hep.Config // of hep
	stop func()     // ends hep, and returns when it has ended

	// mu guards the fields below.
	mu    sync.Mutex
	hep   *hep.Exporter // nil: none
	ended hep.Stats     // of those before hep
}

// export has the recorder keep and give away what a configuration says. Node.reloading is held.
func (n *Node) export(cfg *config.Config) {
	x, h := &n.exports, &cfg.Trace.HEP
	want := hep.Config{Collector: h.Collector, Node: h.Node, Name: h.Name, Password: h.Password}
	old, stop := x.hep, x.stop
	made := old
	if old == nil || x.was.Collector != want.Collector || x.was.Node != want.Node || x.was.Name != want.Name || !bytes.Equal(x.was.Password, want.Password) {
		made, x.was, x.stop = nil, want, nil
		if want.Collector.IsValid() {
			made, x.stop = startExport(want)
		}
	}
	out := traceConfig(cfg)
	if made != nil {
		out.Export = made.Send
	}
	n.trace.Update(out)
	x.replace(old, made, stop)
}

// endExport ends the exporting. Nothing is recorded any more.
func (n *Node) endExport() {
	n.exports.replace(n.exports.hep, nil, n.exports.stop)
}

// replace puts one exporter in the place of another, and ends that.
func (x *exports) replace(old, made *hep.Exporter, stop func()) {
	if old == made {
		return
	}
	if old != nil {
		stop()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if old != nil {
		x.ended = sum(x.ended, old.Stats())
	}
	x.hep = made
}

// startExport starts an exporter, and returns what ends it.
func startExport(cfg hep.Config) (*hep.Exporter, func()) {
	e, ended := hep.New(cfg), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	// Ends when ctx does, for which stop waits.
	go func() { defer close(ended); e.Run(ctx) }()
	return e, func() { cancel(); <-ended }
}

func sum(a, b hep.Stats) hep.Stats {
	return hep.Stats{Sent: a.Sent + b.Sent, Queue: a.Queue + b.Queue, TooLarge: a.TooLarge + b.TooLarge, Failed: a.Failed + b.Failed}
}

// Exported returns what became of the messages for a collector.
func (n *Node) Exported() hep.Stats {
	x := &n.exports
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.hep == nil {
		return x.ended
	}
	return sum(x.ended, x.hep.Stats())
}
