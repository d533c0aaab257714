package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Listen is a listen address. Port 0 asks the system for a free port, which Addrs then tells.
type Listen struct {
	Transport sipaddr.Transport
	Addr      netip.AddrPort
}

// String returns l as a URL, such as "tls://127.0.0.1:5061".
func (l Listen) String() string { return l.Transport.URIParam() + "://" + l.Addr.String() }

// Domain is a served domain: a name, the certificate that proves it, and who is believed when it
// is spoken to. Each has an alias table of its own (RFC 5923, Section 9.3).
type Domain struct {
	// Name is the domain, such as "example.com". It is the local domain of a Hop and of a Source.
	Name string
	// SentBy is the advertised address of this domain over TLS: a host, with or without a port.
	// Empty: Name. Without a port that of the listener is added when it is not 5061.
	SentBy string
	// Certificate is shown to servers and to clients alike.
	Certificate tls.Certificate
	// Verifier authenticates the peers of this domain. It must be there.
	Verifier *identity.Verifier
	// DeclineAlias is asked before a row is made for an accepted connection whose client has these
	// identities; true declines, and the request goes on as though it had not asked:
	// RFC 5923, Section 8.2. Nil declines nobody. It is called by reader goroutines and must not
	// block.
	DeclineAlias func(identity.Set) bool
}

// Handler is told what comes in. Its methods are called from the goroutine of the connection or
// the socket that they concern, at once for different ones, and hold that goroutine until they
// return: they must not block.
type Handler interface {
	// Message is given a message that could be parsed. The received and rport values of a request
	// are set already. src is shared by the messages of a connection and must not be changed.
	Message(m *sip.Message, src *Source)
	// Malformed is given what could not be framed or parsed; m holds as much as was understood and
	// may be nil. After a framing error on a stream the connection is closed as soon as what the
	// handler sent has been written; a message that was framed but is bad leaves it open.
	Malformed(m *sip.Message, err error, src *Source)
	// Closed is the last thing said about a connection: nothing comes from it and nothing goes out
	// over it any more. err is nil when it was closed in an orderly way.
	Closed(id alias.ConnID, err error)
}

// Config is how a Transport is made. The zero value of each field but Listen and Handler is a good
// default. New copies it.
type Config struct {
	// Listen has the listen addresses. Dialed connections use the IP address of the first one of
	// their transport and address family.
	Listen []Listen
	// Inherit returns the socket of a listen address when there is one already, and nil when it is to be opened. A UDP
	// listener may have several: it is asked again until it returns nil. The file is closed here. Nil: all are opened.
	Inherit func(Listen) *os.File
	// Domains has the served domains. Without any there is no TLS. The first is used by clients
	// that name none.
	Domains []Domain
	// Handler must be there.
	Handler Handler
	// Logger default: none.
	Logger *slog.Logger
	// Judge is called once for each connection, after its handshake and before its first message,
	// and its answer is Source.User from then on. It is called again when Update changed the
	// domains, and for each source address over UDP, as often as it is seen anew. Nil: no answer.
	Judge func(ConnInfo) any
	// Refused is told of each accepted connection whose TLS handshake failed: where it came from, and why. Where that is
	// a certificate that is not believed, names are those in it, which are proved by nothing. It must be quick. Nil:
	// nobody is told.
	Refused func(at netip.AddrPort, names []string, err error)
	// Alerted is told of each connection that the far end has ended by an alert of TLS (RemoteAlert), such as one
	// that does not believe our certificate. It must be quick. Nil: nobody is told.
	Alerted func(ConnInfo, error)
	// Handshook is told how long each TLS handshake took that succeeded, with connecting when it was dialed. It must be
	// quick. Nil: nobody is told.
	Handshook func(alias.Direction, time.Duration)
	// Outstanding tells how many transactions still need the connection, which decides how long
	// closing it waits (RFC 5923, Section 8.3). Nil: none.
	Outstanding func(alias.ConnID) int
	// Busy returns how many transactions need each connection that any need, by ids: what Outstanding tells of
	// one, of all at once. Nil: Outstanding is asked of each.
	Busy func() map[uint64]int
	// Ended is told that no response will come over a connection, while requests may still be outstanding: the
	// peer has ended its side by its closure alert or a FIN, or sent what cannot be framed, or DrainTimeout is
	// over. Responses to the peer's own requests still go out. Handler.Closed follows when that is done. It is called by the
	// goroutine of the connection and must not block. Nil: nobody is told.
	Ended func(alias.ConnID)

	// SentBy is the host that UDP and TCP put into Via and Record-Route. Default: the IP address of
	// the listener, or on an unspecified one the sent-by host of the first domain.
	SentBy string
	// NoAlias leaves the alias parameter out of what is sent over TLS. Connections are then still
	// reused forwards, and a peer's own alias parameter is still honoured.
	NoAlias bool
	// Limits bounds the size of a message: see framing.Limits for the defaults.
	Limits framing.Limits

	// HandshakeTimeout bounds a TLS handshake as a whole. Default 5 s.
	HandshakeTimeout time.Duration
	// HeaderTimeout bounds the time from the first byte of a message to the end of its header
	// section, and that for one TLS record. Default 5 s.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the time for a body. Default 10 s.
	BodyTimeout time.Duration
	// DialTimeout bounds the making of a TCP connection. Default 2 s.
	DialTimeout time.Duration
	// WriteTimeout bounds one write: a peer that takes nothing for so long is given up. Default 5 s.
	WriteTimeout time.Duration
	// DrainTimeout is how long closing waits for outstanding transactions. Default 32 s, which is
	// 64*T1.
	DrainTimeout time.Duration
	// CloseTimeout is how long closing waits for the peer's closure alert. Default 2 s.
	CloseTimeout time.Duration
	// KeepAlive is the idle time before TCP keepalive probes. Three follow at a third of it each.
	// Default 6 s; negative: none.
	KeepAlive time.Duration
	// UserTimeout is how long sent bytes may stay unacknowledged (Linux only). Default 5 s;
	// negative: as long as the system likes. It is lifted while a connection is quiet, which is left to KeepAlive.
	UserTimeout time.Duration
	// PingInterval is the time between pings on dialed connections (RFC 5626, Section 3.5.1), up to a
	// fifth less by chance. Default: no pings. A peer that answered one, or has agreed to answer them
	// (RFC 6223), and leaves a later one unanswered for PongTimeout is given up; one that never answers is
	// not asked to. One that was sent something and is silent for a quarter of PongTimeout is pinged early.
	PingInterval time.Duration
	// PingPeer, if it is there, is asked instead of PingInterval, with what Judge has answered, about accepted
	// and dialed connections. 0 is no pings. It must not block.
	PingPeer func(user any) time.Duration
	// Recommend is how often peers that offer to send keepalives are told to do so, in whole seconds:
	// RFC 6223, Section 4.4. A handler that has it set stays on the path of the dialogs that pass through it.
	// Default: the offers are not answered.
	Recommend time.Duration
	// MaxAge is the age at which a dialed connection is replaced, up to a fifth less by chance: no request
	// finds it any more, those that are outstanding end on it, and then it is closed. Default: none.
	MaxAge time.Duration
	// PongTimeout default 10 s: RFC 5626, Section 4.4.1. After half of it the connection is suspected: no
	// request finds it any more, until something is heard from it.
	PongTimeout time.Duration
	// SuspectAfter is how many transactions in a row may end without any answer (Transport.Suspect) before
	// their connection is suspected and probed. Default 3; negative: never.
	SuspectAfter int

	// SettleAfter is how long two connections stand with one peer, when both sides dialed at once, before one
	// of them is given back by the side that dialed it. Default 5 s.
	SettleAfter time.Duration

	// SCTP says how SCTP is spoken, where Listen has it. Its Addresses are those of the listeners, and MaxAssociations is
	// MaxConnections. PingInterval defaults to KeepAlive, and Retransmissions to 5, so that a peer that is gone is
	// noticed in 11 s, and in 5 s when something was sent to it.
	SCTP sctp.Config
	// TLSStreams is how many streams of an association that this side dials carry TLS, as far as the peer has so many.
	// Default 1.
	TLSStreams int

	// Loops is how many event loops carry the sockets (Linux only); each keeps one processor busy at most. Default:
	// half of the processors that Go uses, rounded up, which leaves the rest to handshakes, the collector and the
	// system. With several each reads its own socket of a UDP listener (SO_REUSEPORT), unless that is inherited or has
	// port 0. Negative: none, and a goroutine of its own for each connection.
	Loops int

	// QueueBytes bounds what waits to be written on one connection whose peer does not take it.
	// Default 256 KiB. Above it requests are turned away; a connection on which a response finds no
	// place is closed, so that nothing is lost in silence. While the peer takes what is written the
	// queue may hold 16 times as much, and one message is always taken.
	QueueBytes int
	// MaxConnections bounds all connections. Default 65,536, and three quarters of the descriptors
	// that the process may have.
	MaxConnections int
	// MaxPerSource bounds the accepted connections of one IPv4 address or one IPv6 prefix of 64 bits.
	// Default three quarters of MaxConnections.
	MaxPerSource int
	// MaxPerIdentity bounds the accepted connections of one peer, by the first name in its certificate.
	// Default three quarters of MaxConnections. Above 80 percent of MaxConnections those that nobody has used
	// for longest are closed, as long as no transaction needs them.
	MaxPerIdentity int
	// MaxPending bounds the accepted connections whose handshake has not ended; with more, the
	// oldest of them is closed. Default 4,096.
	MaxPending int
	// MaxPendingPerSource bounds those of them from one IPv4 address or one IPv6 prefix of 64 bits; with more,
	// the oldest of them is closed. Default three quarters of MaxPending.
	MaxPendingPerSource int
	// MaxHandshakes bounds the handshakes of accepted connections that compute at once; one that
	// waits for its peer does not count. Default one for each processor that Go uses but one, which is left to
	// the messages of others, and at least one.
	MaxHandshakes int
	// MaxDials bounds the dials in progress. Default 1,024.
	MaxDials int
	// MaxWaiters bounds the requests that wait for one dial. Default 4,096.
	MaxWaiters int
	// MaxRowsPerConn bounds the alias rows of one connection. Default: as alias.Config has it.
	MaxRowsPerConn int
	// SocketBuffer is asked of the system for each direction of a UDP socket, in bytes. Default
	// 4 MiB.
	SocketBuffer int
}

// withDefaults checks cfg and fills in what was left zero.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Handler == nil {
		return cfg, errors.New("transport: no handler")
	}
	if len(cfg.Listen) == 0 {
		return cfg, errors.New("transport: no listen address")
	}
	for _, l := range cfg.Listen {
		switch {
		case l.Transport < sipaddr.UDP || l.Transport > sipaddr.TLSSCTP:
			return cfg, fmt.Errorf("transport: cannot listen for %s", l.Transport)
		case !l.Addr.Addr().IsValid():
			return cfg, fmt.Errorf("transport: %s listener without an address", l.Transport)
		case l.Transport.Secure() && len(cfg.Domains) == 0:
			return cfg, fmt.Errorf("transport: listener %s needs a domain with a certificate", l)
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	durations := []struct {
		d   *time.Duration
		def time.Duration
	}{
		{&cfg.HandshakeTimeout, 5 * time.Second},
		{&cfg.HeaderTimeout, 5 * time.Second},
		{&cfg.BodyTimeout, 10 * time.Second},
		{&cfg.DialTimeout, 2 * time.Second},
		{&cfg.WriteTimeout, 5 * time.Second},
		{&cfg.DrainTimeout, 32 * time.Second},
		{&cfg.CloseTimeout, 2 * time.Second},
		{&cfg.KeepAlive, 6 * time.Second},
		{&cfg.UserTimeout, 5 * time.Second},
		{&cfg.PongTimeout, 10 * time.Second},
		{&cfg.SettleAfter, 5 * time.Second},
	}
	for _, x := range durations {
		if *x.d == 0 {
			*x.d = x.def
		}
	}
	sizes := []struct {
		n   *int
		def int
	}{
		{&cfg.QueueBytes, 256 << 10},
		{&cfg.MaxConnections, min(65536, descriptorLimit()/4*3)},
		{&cfg.MaxPending, 4096},
		{&cfg.MaxHandshakes, max(1, runtime.GOMAXPROCS(0)-1)},
		{&cfg.MaxDials, 1024},
		{&cfg.MaxWaiters, 4096},
		{&cfg.SocketBuffer, 4 << 20},
	}
	for _, x := range sizes {
		if *x.n <= 0 {
			*x.n = x.def
		}
	}
	if cfg.SCTP.PingInterval == 0 {
		cfg.SCTP.PingInterval = max(cfg.KeepAlive, time.Second)
	}
	if cfg.SCTP.Retransmissions == 0 {
		cfg.SCTP.Retransmissions = 5
	}
	if cfg.SCTP.MaxMessage == 0 {
		cfg.SCTP.MaxMessage = 64 << 10
	}
	cfg.SCTP.MaxAssociations = min(cfg.MaxConnections, 1<<24)
	if cfg.Loops == 0 {
		cfg.Loops = (runtime.GOMAXPROCS(0) + 1) / 2
	}
	if cfg.SuspectAfter == 0 {
		cfg.SuspectAfter = 3
	}
	if cfg.MaxPerSource <= 0 {
		cfg.MaxPerSource = max(1, cfg.MaxConnections/4*3)
	}
	if cfg.MaxPerIdentity <= 0 {
		cfg.MaxPerIdentity = max(1, cfg.MaxConnections/4*3)
	}
	if cfg.MaxPendingPerSource <= 0 {
		cfg.MaxPendingPerSource = max(1, cfg.MaxPending/4*3)
	}
	return cfg, nil
}

// lookEvery is how often a loop looks at the deadlines of those that have one.
func (cfg *Config) lookEvery() time.Duration {
	shortest := min(cfg.HeaderTimeout, cfg.BodyTimeout, cfg.WriteTimeout)
	return min(max(shortest/20, 5*time.Millisecond), 100*time.Millisecond)
}
