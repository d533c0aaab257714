// Package config reads the settings file: YAML in, checked Go values out.
//
// Whatever can be known to be wrong before anything is opened is found here, and all of it at once:
// every error names the file, the line and the key, and says what to do. What comes out needs no
// further checks: addresses are parsed, certificates are loaded and belong to their keys, numbers lie
// in their ranges, and settings that the file does not have stand at their defaults. The annotated
// sample.yaml beside this file has every key.
package config

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"log/slog"
	"net/netip"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Sample is a configuration with every key, those that have a default at it, and comments.
//
//go:embed sample.yaml
var Sample string

// Config is a checked configuration. It is made by Load or Parse and not changed afterwards, so that
// any number of goroutines may read it.
type Config struct {
	// File is the name that problems with this configuration are reported under.
	File string
	// Listen has at least one entry; no two of them ask for the same socket.
	Listen []Listen
	// Admin says where operators reach this process, and by what they are known.
	Admin Admin
	// DNS lists the resolvers. Empty: the system's.
	DNS []netip.AddrPort
	// Trust says which certificates of peers are believed.
	Trust Trust
	// Domains lists the served domains; no name stands twice.
	Domains []Domain
	// Access says who may do what.
	Access Access
	// Peers lists the known peers; no identity and no address belongs to two of them.
	Peers []Peer
	// Routes are asked in this order; the first that matches wins.
	Routes []Route
	// SCTP says how SCTP is spoken.
	SCTP SCTP
	// Log says what is logged, and how.
	Log Log
	// Limits bounds what others can make this process hold.
	Limits Limits
	// Timers holds the waiting times, those of RFC 3261, Section 17 among them.
	Timers Timers
	// Memory says how much memory is spent to collect garbage less often.
	Memory Memory
	// Trace says what is kept of the messages that pass.
	Trace Trace
	// Warnings lists what is suspicious and yet no error, such as a certificate about to expire.
	Warnings []Problem

	lines map[string]int // where each key that the file has stands
}

// Line returns where the file has a key, such as "limits.queue" or "listen[1]", or else the nearest key above
// it. It is 1 when the file has neither.
func (c *Config) Line(key string) int { return nearest(c.lines, key) }

// Listen is one socket to listen on.
type Listen struct {
	// Transport is never sipaddr.Unknown.
	Transport sipaddr.Transport
	// Addr is the listen address. Port 0 asks the system for a free one.
	Addr netip.AddrPort
	// Line is where the file says so, for what only shows when the socket is opened.
	Line int
}

// String writes l as the file has it: tls://192.0.2.1:5061.
func (l Listen) String() string {
	return l.Transport.URIParam() + "://" + l.Addr.String()
}

// Trust says which certificates of peers are believed.
type Trust struct {
	// CA holds the trust anchors. Empty: no peer can be authenticated.
	CA []*x509.Certificate
	// CRL holds the revocation lists; a list whose issuer is among CA has a good signature by it.
	CRL []*x509.RevocationList
	// CNFallback takes the CN of a certificate without any subjectAltName (RFC 5922, Section 7.1).
	CNFallback bool
	// StrictEKU demands id-kp-sipDomain (RFC 5924) instead of any usage that suits TLS.
	StrictEKU bool
	// MustStaple refuses a server whose certificate promises a stapled OCSP response and that sends
	// none that is good (RFC 7633).
	MustStaple bool
	// MaxNames is how many names a certificate may have; one with more is refused whole.
	MaxNames int
}

// Domain is a served domain: one that this proxy is responsible for.
type Domain struct {
	// Name is the domain in lower case A-labels, or an IP literal.
	Name string
	// SentBy is the advertised host and optional port, by default the name.
	SentBy string
	// Certificate has its Leaf filled in. It is empty (no Certificate bytes) for a domain that is
	// served on plain transports only.
	Certificate tls.Certificate
	// Trust says which certificates of peers are believed on behalf of this domain; nil: Config.Trust.
	Trust *Trust
	// Identities are what the certificate says about its holder; Name is one of them, and so is the
	// host of SentBy unless it is an IP literal.
	Identities identity.Set
}

// Access says who may do what.
type Access struct {
	// RelayFrom lists the source addresses whose requests to domains not served here are relayed.
	RelayFrom []netip.Prefix
	// UntrustedHeaders names the header fields that are removed from what untrusted sources send.
	UntrustedHeaders []string
	// DialogKey signs the dialog tokens; nil: make one at the start. At least 32 bytes otherwise.
	DialogKey []byte
}

// Peer is one configured peer. It has identities, addresses, or both.
type Peer struct {
	// Name is how logs, metrics and the admin API call it.
	Name string
	// Identities are the certificate identities that are this peer, in lower case A-labels.
	Identities []string
	// Addresses are the source addresses that are this peer.
	Addresses []netip.Prefix
	// ReferenceIdentity is the name to authenticate when the next hop is one of Addresses. Empty: none.
	// It also stands for InheritIdentity.
	ReferenceIdentity string
	// DeclineAlias refuses the peer's offers of connection reuse.
	DeclineAlias bool
	// ServerAuthClient lets the peer present, as a client, a certificate for servers only.
	ServerAuthClient bool
	// InheritIdentity lets requests inside a dialog that go to an IP address authenticate the peer by
	// the identity that it proved when the dialog was made.
	InheritIdentity bool
	// TrustIdentity believes what the peer says about its users: Access.UntrustedHeaders are left alone.
	TrustIdentity bool
	// Keepalive is the time between pings on connections with the peer; 0: none.
	Keepalive time.Duration
	// Connect lists SIP URIs of the peer to which connections stand open before they are needed.
	Connect []*sip.URI
}

// Route sends requests for a domain to given next hops instead of those that RFC 3263 finds.
type Route struct {
	// Domain is the host of the Request-URI in lower case; empty: any.
	Domain string
	// To has at least one target.
	To []Target
}

// Target is one next hop of a route.
type Target struct {
	// URI is a sip or sips URI without header fields.
	URI *sip.URI
	// Q is the preference from 0 to 1, higher first; targets of equal Q are tried in parallel.
	Q float64
}

// Log says what is logged, and how.
type Log struct {
	// Level is the lowest level that is written. Default: info.
	Level slog.Level
	// JSON writes one JSON object a line instead of key=value pairs.
	JSON bool
}

// Limits bounds what others can make this process hold. All are above zero; sizes are in bytes.
type Limits struct {
	// Connections is the number of connections open at once, dialed and accepted together.
	Connections int
	// ConnectionsPerSource is the number of accepted connections from one source address, and
	// ConnectionsPerIdentity that of one identity.
	ConnectionsPerSource, ConnectionsPerIdentity int
	// Handshakes is the number of accepted connections whose TLS handshake has not ended, and
	// HandshakesPerSource that of them from one source address.
	Handshakes, HandshakesPerSource int
	// RowsPerConnection is the number of alias rows that one connection may have.
	RowsPerConnection int
	// Transactions is the number of server transactions alive at once, and as many client ones.
	Transactions int
	// TransactionsPerSource is the number of server transactions from one source address, and
	// TransactionsPerIdentity that from one identity.
	TransactionsPerSource, TransactionsPerIdentity int
	// StartLine, Header and Body are the largest that a message may have.
	StartLine, Header, Body int
	// Queue is what may wait to be written on one connection.
	Queue int
	// Unanswered is the number of requests in a row that a connection may leave without any answer
	// before it is suspected to lead to nobody, and probed. 0: never.
	Unanswered int
}

// Timers holds the waiting times.
type Timers struct {
	// T1, T2 and T4 are those of RFC 3261, Table 4; the lettered timers are derived from them.
	T1, T2, T4 time.Duration
	// Trying is how long an INVITE may stay without any response from further on before it is answered 100, at
	// most 200 ms (RFC 3261, Section 17.2.1).
	Trying time.Duration
	// TimerC ends an INVITE that only rings (RFC 3261, Section 16.6 item 11). More than three minutes.
	TimerC time.Duration
	// Dial is how long a connection may take to be established, before the TLS handshake.
	Dial time.Duration
	// Handshake is how long the TLS handshake may take.
	Handshake time.Duration
	// HeaderRead and BodyRead are how long a message that has begun may take to arrive on a stream.
	HeaderRead, BodyRead time.Duration
	// Drain is how long a stopping process waits for the transactions that it has.
	Drain time.Duration
	// Keepalive is the time between pings on connections with configured peers, unless a peer has a
	// time of its own, and what is recommended to peers that offer to send them (RFC 6223). 0: none.
	Keepalive time.Duration
	// Pong is how long a ping may stay unanswered.
	Pong time.Duration
	// Recycle is the age at which a dialed connection is replaced by a new one; 0: never.
	Recycle time.Duration
}

// Memory says how much memory is spent to collect garbage less often. Sizes are in bytes.
type Memory struct {
	// Limit is what Go's runtime tries to stay below, as GOMEMLIMIT; 0: no limit.
	Limit int
	// GCPercent is how much of what is alive may be allocated before the next collection, as GOGC.
	GCPercent int
	// GCHeadroom is what may be allocated before the next collection when that is more.
	GCHeadroom int
}

// defaults returns what an empty file would mean, were it valid.
func defaults() *Config {
	return &Config{
		Trust: Trust{MaxNames: 8192},
		Access: Access{UntrustedHeaders: []string{
			"P-Asserted-Identity",           // RFC 3325, Section 9.1
			"P-Preferred-Identity",          // RFC 3325, Section 6
			"P-Asserted-Service",            // RFC 6050, Section 4.1
			"P-Preferred-Service",           // RFC 6050, Section 4.2
			"Remote-Party-ID",               // what RFC 3325 replaced, and still is in use
			"P-Charging-Vector",             // RFC 7315, Section 4.6
			"P-Charging-Function-Addresses", // RFC 7315, Section 4.5
			"P-Visited-Network-ID",          // RFC 7315, Section 4.3
			"P-Served-User",                 // RFC 5502, Section 5
			"P-User-Database",               // RFC 4457, Section 4
			"P-Profile-Key",                 // RFC 5002, Section 5
			"P-Private-Network-Indication",  // RFC 7316, Section 4
			"X-Trusted",
		}},
		SCTP:  SCTP{Provider: "auto", UDPPort: 9899, TLSStreams: 1, Ping: 6 * time.Second, Retransmissions: 5},
		Log:   Log{Level: slog.LevelInfo},
		Trace: Trace{Memory: 4 << 20, OTLP: OTLP{Ratio: 0.01}},
		Limits: Limits{
			Connections:             65536,
			ConnectionsPerSource:    49152,
			ConnectionsPerIdentity:  49152,
			Handshakes:              4096,
			HandshakesPerSource:     3072,
			RowsPerConnection:       8,
			Transactions:            500000,
			TransactionsPerSource:   375000,
			TransactionsPerIdentity: 375000,
			StartLine:               8 << 10,
			Header:                  32 << 10,
			Body:                    256 << 10,
			Queue:                   256 << 10,
			Unanswered:              3,
		},
		Timers: Timers{
			T1:         500 * time.Millisecond, // RFC 3261, Section 17.1.1.1
			T2:         4 * time.Second,        // RFC 3261, Section 17.1.2.2
			T4:         5 * time.Second,        // RFC 3261, Section 17.1.2.2
			Trying:     150 * time.Millisecond, // RFC 3261, Section 17.2.1
			TimerC:     190 * time.Second,      // RFC 3261, Section 16.6
			Dial:       2 * time.Second,
			Handshake:  5 * time.Second,
			HeaderRead: 5 * time.Second,
			BodyRead:   10 * time.Second,
			Drain:      32 * time.Second, // 64*T1: the longest that a transaction without Timer C lives
			Keepalive:  30 * time.Second,
			Pong:       10 * time.Second, // RFC 5626, Section 4.4.1
		},
		Memory: Memory{GCPercent: 100, GCHeadroom: 24 << 20},
	}
}
