package sctp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// How an association ended, and why a dial failed. They come wrapped, some with what the peer said. Besides,
// io.EOF stands for a peer that shut the association down, and net.ErrClosed for one that this side ended.
var (
	ErrRefused   = errors.New("sctp: association refused")          // a dial: nobody listens, or no resources
	ErrAborted   = errors.New("sctp: association aborted by peer")  // ABORT
	ErrLost      = errors.New("sctp: peer does not answer")         // after Config.Retransmissions; dials too
	ErrRestarted = errors.New("sctp: peer restarted")               // it lost its state, and dialed again
	ErrViolation = errors.New("sctp: peer violates the protocol")   // and so the association was aborted
	ErrFull      = errors.New("sctp: too many associations")        // Config.MaxAssociations, or no port free
	ErrLength    = errors.New("sctp: message length")               // 0, or above Config.MaxMessage
	ErrStream    = errors.New("sctp: no such stream")               // not below what both sides agreed on
	ErrNoKernel  = errors.New("sctp: the kernel does not speak it") // Config.Kind is Kernel
)

// Kind says who speaks SCTP, and what carries it.
type Kind int

const (
	// Auto is Kernel where the kernel's socket opens, else UDP.
	Auto Kind = iota
	// Kernel is the SCTP of the kernel.
	Kernel
	// UDP is SCTP in userland, in UDP packets: RFC 6951. It reaches only peers that speak it so.
	UDP
	// Raw is SCTP in userland, in IP packets. It needs the right to open such sockets, and a kernel without
	// SCTP, which would otherwise abort what it does not know of.
	Raw
)

// String returns auto, kernel, udp or raw.
func (k Kind) String() string {
	return [...]string{"auto", "kernel", "udp", "raw"}[k]
}

// Config says how a Provider speaks. The zero value of each field is a good default.
type Config struct {
	Kind Kind

	// Addresses are the local addresses. Several make every association multihomed, which only the kernel
	// can do. None stands for all addresses; in userland name one where the machine has several, because
	// otherwise answers may leave from another than was asked.
	Addresses []netip.Addr

	// UDPPort is the local port of SCTP over UDP. 0 stands for 9899 (RFC 6951, Section 7), -1 for one that is
	// free. The kernel has its own, for the whole machine.
	UDPPort int
	// PeerUDPPort is the UDP port of peers, where a dial names no other. 0 stands for 9899 in userland, and
	// for packets without UDP in the kernel.
	PeerUDPPort int

	Streams       int // in each direction, 16 by default, 65535 at most
	MaxMessage    int // bytes, 65,536 by default
	ReceiveBuffer int // bytes of an association that nobody has read yet, 262,144 by default
	SendBuffer    int // bytes that the peer has not acknowledged: of a stream in userland, of an association in the kernel; 262,144 by default
	MTU           int // bytes of a packet with its SCTP header, 1,452 by default; the kernel finds out itself

	// RTOInitial is how long the first answer is waited for, 1 s by default; each time that one fails to come
	// the wait doubles, to RTOMax (60 s). RTOMin (1 s) is the least wait in the kernel. RFC 9260, Section 16
	RTOInitial, RTOMin, RTOMax time.Duration

	// InitAttempts is how often the beginning of a handshake is sent again, 8 by default.
	InitAttempts int

	// PingInterval is after how much silence a peer is asked whether it is there, 30 s by default.
	PingInterval time.Duration
	// Retransmissions is how many times in a row a peer may leave something unanswered, 10 by default. In
	// userland it is then asked every RTOInitial, and so a peer that is gone is noticed
	// PingInterval + Retransmissions * RTOInitial after it was last heard, and without the first part when
	// something was sent to it. The kernel waits longer each time, and a PingInterval between pings.
	Retransmissions int

	// PathChange, unless nil, is called when an address of a peer that has several is found to work, works no
	// more, or does again. Only the kernel tells. It is called on a goroutine that reads, and must not wait for anything.
	PathChange func(a Association, address netip.Addr, up bool)

	MaxAssociations int // at a time, 10,000 by default; in the kernel accepted ones that nobody took yet count alone
	Backlog         int // associations of one listener that nobody has taken yet, 128 by default
}

// withDefaults fills in what is zero, and says what is wrong.
func (c Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		field            *int
		value, low, high int
		name             string
	}{
		{&c.Streams, 16, 1, 65535, "Streams"},
		{&c.MaxMessage, 64 << 10, 1, 1 << 20, "MaxMessage"},
		{&c.ReceiveBuffer, 256 << 10, 4 << 10, 1 << 30, "ReceiveBuffer"},
		{&c.SendBuffer, 256 << 10, 4 << 10, 1 << 30, "SendBuffer"},
		{&c.MTU, 1452, 256, maxEngine, "MTU"},
		{&c.InitAttempts, 8, 1, 100, "InitAttempts"},
		{&c.Retransmissions, 10, 1, 1000, "Retransmissions"},
		{&c.MaxAssociations, 10000, 1, 1 << 24, "MaxAssociations"},
		{&c.Backlog, 128, 1, 1 << 16, "Backlog"},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
		if *f.field < f.low || *f.field > f.high {
			return c, fmt.Errorf("sctp: %s is %d, and not from %d to %d", f.name, *f.field, f.low, f.high)
		}
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.RTOInitial, time.Second}, {&c.RTOMin, min(time.Second, c.RTOInitial)}, {&c.RTOMax, time.Minute}, {&c.PingInterval, 30 * time.Second},
	} {
		if *f.field <= 0 {
			*f.field = max(f.value, time.Millisecond)
		}
	}
	if c.ReceiveBuffer < 2*c.MaxMessage {
		return c, fmt.Errorf("sctp: ReceiveBuffer of %d bytes is less than two messages of %d", c.ReceiveBuffer, c.MaxMessage)
	}
	return c, nil
}

// Provider speaks SCTP from one set of local addresses. All methods may be called at once.
type Provider interface {
	// Kind says what Auto became.
	Kind() Kind
	// Listen takes associations to an SCTP port; 0 stands for one that is free.
	Listen(port uint16) (*Listener, error)
	// Dial opens an association from a port of its own. The peer's UDP port of 0 stands for
	// Config.PeerUDPPort. The error wraps ErrRefused, ErrLost, ErrFull or what ctx says.
	Dial(ctx context.Context, peer netip.AddrPort, udpPort uint16) (Association, error)
	// Stats are counters since the start, and figures of the moment.
	Stats() Stats
	// Close aborts the associations that are left, ends the listeners, and waits for all goroutines.
	Close() error
}

// Association is one association with a peer. All methods may be called at once, but either Serve and Send
// are used or OpenStream and AcceptStream.
type Association interface {
	// Serve calls handle with each message that comes on any stream, one at a time, until the association
	// has ended and what had come before is handed out; then it returns what Err does. The bytes are
	// handle's until it returns. While it has not, little more is taken from the peer.
	Serve(handle func(message []byte, stream uint16)) error
	// Send sends one message with the payload protocol identifier 0. It waits for room in the send buffer,
	// and does not keep the message. Messages that are not unordered arrive in the order of their stream.
	Send(ctx context.Context, message []byte, stream uint16, unordered bool) error
	// OpenStream gives a bidirectional stream, the same however often it is asked for.
	OpenStream(id uint16) (*Stream, error)
	// AcceptStream waits for something on a stream that was not opened here.
	AcceptStream(ctx context.Context) (*Stream, error)
	// Shutdown sends what is queued, waits until the peer has taken it, and ends the association. When ctx
	// ends before that, the association is aborted. RFC 9260, Section 9.2
	Shutdown(ctx context.Context) error
	// Abort ends the association at once, and tells the peer the reason: RFC 9260, Section 9.1.
	Abort(reason string)
	// Done is closed when the association has ended. In the kernel's case somebody has to read for that.
	Done() <-chan struct{}
	// Err says how it ended, and is nil while it has not.
	Err() error
	// LocalAddr is the local address and SCTP port.
	LocalAddr() netip.AddrPort
	// RemoteAddr is the peer's address, the first if it has several, and SCTP port.
	RemoteAddr() netip.AddrPort
}

// Open begins to speak SCTP. The error wraps ErrNoKernel, or what the operating system says.
func Open(cfg Config) (Provider, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if c.Kind == Auto {
		c.Kind = UDP
		if KernelSpeaks() {
			c.Kind = Kernel
		}
	}
	if c.Kind == Kernel {
		return openKernel(c)
	}
	return openStack(c)
}

// errEnded is how an association ended that this side has ended.
var errEnded = fmt.Errorf("sctp: association: %w", net.ErrClosed)
