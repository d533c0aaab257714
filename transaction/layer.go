package transaction

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/maphash"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// Config is what a Layer is made of.
type Config struct {
	// User gets the requests. Required.
	User User
	// Timers of the state machines. Zero: those of the RFCs.
	Timers Timers
	// MaxTransactions limits the server transactions, and as many again for the client transactions. A
	// request beyond it is answered 503 with Retry-After and leaves no state; Start beyond it returns
	// ErrFull. Once its final response is given, a transaction takes about 110 bytes, and what it may have to send
	// again. Default 1,000,000.
	MaxTransactions int
	// RetryAfter is the time in the Retry-After of such a 503, in whole seconds. Default 5 s.
	RetryAfter time.Duration
	// Reconnect finds a flow to the same resolved address and peer as old, whose connection is gone, and
	// calls done once, at once or later. It is used for exactly two things: a CANCEL, and the ACK for a
	// final response other than 2xx (RFC 5923, Section 8.1). Nil: they are given up.
	Reconnect func(old Flow, done func(Flow, error))
	// TimedOut is told of each flow over which a client transaction ended by ErrTimeout. It is called without a
	// lock held and must not block. Nil: nobody is told.
	TimedOut func(Flow)
	// OwnSentBy reports whether the sent-by of a Via is one that this element writes. A response whose top
	// Via has another is dropped: RFC 3261, Section 18.1.2. Nil: all are taken.
	OwnSentBy func(via *sip.Via) bool
	// Overloaded says that more comes in than can be handled. While it does, requests outside of dialogs are answered
	// 503 with RetryAfter, without a transaction; what belongs to calls in progress goes on. Nil: never.
	Overloaded func() bool
	// Logger for what an operator should see. Nil: nothing is logged.
	Logger *slog.Logger
}

// Layer holds the transactions of one SIP element. Its methods may be called from several goroutines at
// once. Make one with New.
type Layer struct {
	cfg    Config
	timers Timers
	clock  clock
	key    digestKey    // of what transactions are found by
	tags   digestKey    // of the tags in To of responses that are made here
	seed   maphash.Seed // of what need not be more than a hash
	shards [shards]shard

	live     [2]atomic.Int64 // client, server transactions: Kind/2
	draining atomic.Bool
	turned   turned
}

// turned counts what is rare and concerns no shard.
type turned struct {
	refused     atomic.Uint64 // 503
	overShare   atomic.Uint64 // of them, those for a spent Share
	overload    atomic.Uint64 // of them, those that came while Config.Overloaded said so
	unmatched   atomic.Uint64 // CANCEL answered 481
	unreadable  atomic.Uint64 // no Via or CSeq to match by
	undelivered atomic.Uint64 // Send failed
	reconnected atomic.Uint64 // CANCEL or ACK over a new connection
	lost        atomic.Uint64 // CANCEL or ACK given up
	warned      atomic.Int64  // when the log last said that the table is full
}

// New returns a layer without transactions. It starts nothing: Run is to be called.
func New(cfg Config) *Layer {
	if cfg.User == nil {
		panic("transaction: New without a User")
	}
	if cfg.MaxTransactions <= 0 {
		cfg.MaxTransactions = 1_000_000
	}
	if cfg.RetryAfter <= 0 {
		cfg.RetryAfter = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	timers := cfg.Timers.withDefaults()
	l := &Layer{cfg: cfg, timers: timers, clock: newClock(timers.T1), key: newDigestKey(), tags: newDigestKey(), seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].layer = l
		l.shards[i].look.Store(int64(never))
	}
	return l
}

// shard returns the shard of a digest.
func (l *Layer) shard(id digest) *shard { return &l.shards[id.lo%shards] }

// Receive takes a message from the wire, whatever it is. It returns when the machines and the users have
// done what follows from it. The message is the layer's from then on: it is given to a user, or its memory is given back
// (sip.Message.Release). src may be kept.
func (l *Layer) Receive(m *sip.Message, src *Source) {
	switch {
	case !m.IsRequest():
		l.response(m, src)
	case m.Method() == sip.MethodAck:
		l.ack(m, src)
	case m.Method() == sip.MethodCancel:
		l.cancel(m, src)
	default:
		l.request(m, src)
	}
}

// Run keeps the timers until ctx is done, and returns its error. Without it nothing is sent again and
// nothing times out.
func (l *Layer) Run(ctx context.Context) error {
	var due []dueWork // used again each time
	look := func(now tick) tick {
		next := never
		for i := range l.shards {
			s := &l.shards[i]
			if tick(s.look.Load()) <= now {
				for more := true; more; {
					due, more = l.expire(s, now, due[:0])
					for j := range due {
						due[j].carryOut()
					}
					clear(due)
				}
			}
			next = min(next, tick(s.look.Load()))
		}
		return next
	}
	soonest := func() tick {
		next := never
		for i := range l.shards {
			next = min(next, tick(l.shards[i].look.Load()))
		}
		return next
	}
	return l.clock.run(ctx, look, soonest)
}

// dueWork is what follows from a timer of one transaction.
type dueWork struct {
	client *Client
	cwork  clientWork
	server *Server
	swork  serverWork
}

// carryOut does the work, without a lock.
func (d *dueWork) carryOut() {
	if d.client != nil {
		d.client.carryOut(&d.cwork)
	} else {
		d.server.carryOut(&d.swork)
	}
}

// expire steps the transactions of a shard that are due and appends what follows. It ends those that have
// finished, reporting whether it is to be called again for more.
func (l *Layer) expire(s *shard, now tick, due []dueWork) (_ []dueWork, more bool) {
	// A machine's timers are due when their tick is, even if the clock's own reading is a hair before.
	t := max(l.clock.now(), instant(now)*l.clock.resolution)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wheel.advance(now, func(tm *timer) {
		if c := tm.owner.client; c != nil {
			due = append(due, dueWork{client: c, cwork: c.stepFor(event{kind: evTick}, t, nil, nil)})
		} else {
			srv := tm.owner.server
			due = append(due, dueWork{server: srv, swork: srv.stepFor(event{kind: evTick}, t)})
		}
	})
	more = s.end(t)
	s.look.Store(int64(min(s.wheel.next(), s.firstEnd())))
	return due, more
}

// refuse answers 503 without a transaction, and logs why, from time to time.
func (l *Layer) refuse(m *sip.Message, src *Source, k *serverKey, why string, limit int64) {
	l.turned.refused.Add(1)
	now := int64(l.clock.now())
	if last := l.turned.warned.Load(); !l.draining.Load() && (last == 0 || now-last > int64(10*time.Second)) && l.turned.warned.CompareAndSwap(last, max(now, 1)) {
		attrs := []any{"peer", cmp.Or(src.Peer, src.Remote.String())}
		if limit > 0 {
			attrs = append(attrs, "limit", limit)
		}
		l.cfg.Logger.Warn(why+", answering 503", attrs...)
	}
	seconds := strconv.Itoa(max(1, int(l.cfg.RetryAfter/time.Second)))
	l.answer(m, src, 503, l.tag(k.id), sip.Line{Name: "Retry-After", Value: seconds})
	m.Release()
}

// refusedBefore reports whether an ACK is for a response of refuse, which kept nothing: its tag is made from the request
// alone, and the ACK has the same branch (RFC 3261, Section 8.2.7, and RFC 3261, Section 17.1.1.3).
func (l *Layer) refusedBefore(m *sip.Message, k *serverKey) bool {
	var room [tagRoom]byte
	t := tag(m.To())
	return t != "" && t == string(l.appendTag(room[:0], k.id))
}

// answer sends a response that belongs to no transaction.
func (l *Layer) answer(m *sip.Message, src *Source, status int, tag string, extra ...sip.Line) {
	buf := takeBuffer()
	*buf = sip.AppendResponse((*buf)[:0], m, status, "", tag, extra...)
	if err := src.Flow.Send(*buf); err != nil {
		l.turned.undelivered.Add(1)
	}
	giveBuffer(buf)
}

// tag returns the tag for To in a response that is made here. It depends on the request alone, so that
// all such responses to a request and its CANCEL have the same: RFC 3261, Section 9.2. It tells nothing of the digest.
func (l *Layer) tag(id digest) string {
	var room [tagRoom]byte
	return string(l.appendTag(room[:0], id))
}

const tagRoom = 16 // a tag has at most 13 characters

func (l *Layer) appendTag(dst []byte, id digest) []byte {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], id.lo)
	binary.LittleEndian.PutUint64(b[8:], id.hi)
	return strconv.AppendUint(dst, l.tags.sum(b[:]).lo, 36)
}

// buffers are for messages that are built and sent at once.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

func takeBuffer() *[]byte { return buffers.Get().(*[]byte) }

func giveBuffer(b *[]byte) {
	if cap(*b) <= 64<<10 {
		buffers.Put(b)
	}
}
