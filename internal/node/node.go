// Package node builds one running proxy out of the rooms and carries messages between them.
//
// Two towers stand on the library: the wire (transport, alias, identity, framing) and the thinking
// (proxy, transaction, resolve). Neither knows the other. A Node owns one of each part, judges who is at
// the far end of a connection (judge.go), hands messages up (wire.go), finds addresses and flows for what
// comes down (network.go), makes the rooms' settings from the configuration (settings.go), and puts another
// configuration into force while messages go on (reload.go).
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
	"github.com/tandem-sip/tandem/transport"
)

// Options are what a Node is given beside its configuration. The zero value logs nothing.
type Options struct {
	Logger *slog.Logger
	// Level is that of the Logger: New and Reload set it to what the configuration says. Nil: they leave it.
	Level   *slog.LevelVar
	Version string // of the program, for the log
	// Trace is asked of each request whether it is followed: it returns what is told of it, or nil. Nil: none is.
	Trace func(*sip.Message, *transaction.Source) proxy.Span
	// Forwarded is told of one request in sixteen how long it took from its arrival to its being sent on. It must be
	// quick. Nil: nobody, and no clock is read for it.
	Forwarded func(time.Duration)
	// LookedUp is told how long each look-up took that what is kept could not answer, and Handshook how long each TLS
	// handshake took that succeeded, with connecting when it was dialed. They must be quick. Nil: nobody.
	LookedUp  func(time.Duration)
	Handshook func(alias.Direction, time.Duration)
	// Inherit returns the socket of a listen address that is open already, as transport.Config has it. Nil: none is.
	Inherit func(transport.Listen) *os.File
	// Heritage is what another process knew that this one follows. Nil: there was none.
	Heritage *Heritage
}

// Node is one running proxy. Its methods may be called from any goroutine.
type Node struct {
	log   *slog.Logger
	level *slog.LevelVar // or nil

	logLevel logLevel

	net   *transport.Transport
	layer *transaction.Layer
	core  *proxy.Core

	inForce atomic.Pointer[settings] // only New and Reload store it

	// reloading is held by Reload from beginning to end, and by nobody else.
	reloading sync.Mutex

	bySource   *shares[netip.Addr] // of the transactions
	byIdentity *shares[string]

	trace   *trace.Recorder
	exports exports

	followed bool // Options.Trace may ask for decisions

	flows flows // what requests were sent over of late

	troubles troubles // with configured peers

	pairs *pairs // connections that stand open before they are needed

	running, draining atomic.Bool
	reloads           atomic.Uint64
	reloadsRefused    atomic.Uint64
	loaded            atomic.Int64 // when the configuration in force was, Unix time in nanoseconds

	lookedUp func(time.Duration)  // or nil
	heir     atomic.Pointer[heir] // of the process before this one, while that needs it

	lookups chan struct{} // bounds the look-ups in progress
	pending sync.WaitGroup
}

// maxLookups bounds the names that are being looked up at once; more than that are turned away as
// though the DNS had not answered.
const maxLookups = 1024

// measureOneIn is of how many requests one is measured: looking at the clock costs more than the rest of it.
const measureOneIn = 16

// New builds a proxy from a checked configuration. It opens nothing.
func New(cfg *config.Config, opts Options) (*Node, error) {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := &Node{log: log, level: opts.Level, lookedUp: opts.LookedUp, lookups: make(chan struct{}, maxLookups)}
	n.bySource, n.byIdentity = newShares[netip.Addr](cfg.Limits.TransactionsPerSource), newShares[string](cfg.Limits.TransactionsPerIdentity)
	n.followed = opts.Trace != nil
	n.trace = trace.New(traceConfig(cfg))
	n.pairs = &pairs{node: n, keepers: make(map[pairKey]*keeper)}
	s, err := newSettings(cfg, nil)
	if err != nil {
		return nil, err
	}
	key, keyBefore := opts.Heritage.keys(cfg)
	s.former = opts.Heritage.formerHosts(cfg)
	n.inForce.Store(s)
	n.loaded.Store(time.Now().UnixNano())
	wireConfig := n.transportConfig(s)
	wireConfig.Handshook = opts.Handshook
	wireConfig.Inherit = opts.Inherit
	if n.net, err = transport.New(wireConfig); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	u := &user{}
	n.layer = transaction.New(transaction.Config{
		User:            u,
		Timers:          timers(cfg),
		MaxTransactions: cfg.Limits.Transactions,
		Reconnect:       n.reconnect,
		TimedOut:        n.timedOut,
		Overloaded:      n.net.Overloaded,
		Logger:          log,
	})
	n.core = proxy.New(proxy.Config{
		Rules:           s.rules(wireConfig.Listen),
		Network:         network{n},
		Transactions:    n.layer,
		DialogKey:       key,
		DialogKeyBefore: keyBefore,
		Forwarded:       opts.Forwarded,
		Trace:           opts.Trace,
		MeasureOneIn:    measureOneIn,
		Logger:          log,
	})
	u.Core = n.core
	n.configureLevel(cfg.Log.Level)
	return n, nil
}

// Open binds the listeners. An address that is in use is an error that names its key in the file.
func (n *Node) Open() error {
	err := n.net.Open()
	s := n.inForce.Load()
	var le *transport.ListenError
	if errors.As(err, &le) && le.Listen.Transport.OverSCTP() {
		return fmt.Errorf("%s:%d: listen[%d]: %s: %w: %s", s.cfg.File, s.cfg.Listen[le.Index].Line, le.Index, le.Listen, le.Err, mendSCTP(s.cfg.SCTP, le.Err))
	}
	if errors.As(err, &le) {
		return fmt.Errorf("%s:%d: listen[%d]: %s: %w: give another address or port, or stop the program that has it",
			s.cfg.File, s.cfg.Listen[le.Index].Line, le.Index, le.Listen, le.Err)
	}
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.core.Update(s.rules(n.net.Addrs()))
	return nil
}

// Run serves until ctx is done, then closes what is open and returns when all that it started has ended.
// It returns nil unless something failed.
func (n *Node) Run(ctx context.Context) error {
	timersDone := make(chan struct{})
	timersCtx, stopTimers := context.WithCancel(context.Background())
	defer stopTimers()
	// Ends when timersCtx is cancelled, after the transport has ended.
	go func() {
		_ = n.layer.Run(timersCtx) // says no more than that timersCtx is done
		close(timersDone)
	}()
	n.pairs.run()
	n.pending.Add(1)
	// The same.
	go func() {
		defer n.pending.Done()
		n.watchHosts(timersCtx, hostsLook)
	}()
	n.reloading.Lock()
	n.export(n.Config())
	n.running.Store(true)
	n.reloading.Unlock()
	err := n.net.Run(ctx)
	n.running.Store(false)
	n.pairs.stop()
	n.reloading.Lock()
	n.trace.Close()
	n.endExport()
	n.reloading.Unlock()

	n.inForce.Load().finder.Close()
	if r := n.heir.Load(); r != nil {
		_ = r.relay.Close()
	}
	stopTimers()
	n.pending.Wait()
	<-timersDone
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, transport.ErrClosed) {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// Close closes all sockets at once.
func (n *Node) Close() error { return n.net.Close() }

// Stats are the counters of the rooms.
type Stats struct {
	Transport    transport.Stats
	Transactions transaction.Stats
	Proxy        proxy.Stats
	// Reloads counts the configurations put into force by ReloadFrom, and ReloadsRefused those that were not.
	Reloads, ReloadsRefused uint64
}

// Stats returns the counters of the rooms.
func (n *Node) Stats() Stats {
	return Stats{
		Transport: n.net.Stats(), Transactions: n.layer.Stats(), Proxy: n.core.Stats(),
		Reloads: n.reloads.Load(), ReloadsRefused: n.reloadsRefused.Load(),
	}
}

// Handshakes returns how many TLS handshakes were completed, in both roles.
func (n *Node) Handshakes() int {
	s := n.net.Stats()
	return int(s.HandshakesServer + s.HandshakesClient)
}

// Decisions counts the answers to which connection carries a request, by their reason.
func (n *Node) Decisions() map[alias.Reason]uint64 { return n.net.Decisions() }

// Aliases returns the rows of all alias tables.
func (n *Node) Aliases() []alias.Row { return n.net.Aliases() }

// Census counts what stands open.
func (n *Node) Census() transport.Census { return n.net.Census() }

// ResolverStats returns the counters of the resolver in force.
func (n *Node) ResolverStats() resolve.Stats { return n.inForce.Load().finder.Stats() }

// Connections returns what stands open.
func (n *Node) Connections() []transport.ConnInfo { return n.net.Connections() }

// Listening returns the listen addresses with the ports that they really have.
func (n *Node) Listening() []transport.Listen { return n.net.Addrs() }
