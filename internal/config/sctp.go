package config

import (
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// SCTP says how SCTP is spoken, where there are listeners for it.
type SCTP struct {
	// Provider is who speaks it: "auto" (the kernel where it can, else userland), "kernel", "userland" (over UDP,
	// RFC 6951) or "raw" (userland over IP).
	Provider string
	// UDPPort is the local UDP port in userland.
	UDPPort int
	// PeerUDPPort is the UDP port of peers that are dialed. 0: 9899 in userland, and no UDP by the kernel.
	PeerUDPPort int
	// TLSStreams is how many streams of an association that is dialed carry TLS.
	TLSStreams int
	// Ping is after how much silence a peer is asked whether it is there, and Retransmissions how often in a row
	// it may leave something unanswered.
	Ping            time.Duration
	Retransmissions int
}

// readSCTP reads how SCTP is spoken.
func (v value) readSCTP(s *SCTP) {
	v.fields([]field{
		{"provider", func(v value) { v.readOneOf(&s.Provider, "auto", "kernel", "userland", "raw") }},
		{"udp_port", func(v value) { v.readInt(&s.UDPPort, 1, 65535) }},
		{"peer_udp_port", func(v value) { v.readInt(&s.PeerUDPPort, 0, 65535) }},
		{"tls_streams", func(v value) { v.readInt(&s.TLSStreams, 1, 16) }},
		{"ping", func(v value) { v.readDuration(&s.Ping, 100*time.Millisecond, time.Hour) }},
		{"retransmissions", func(v value) { v.readInt(&s.Retransmissions, 1, 100) }},
	})
}

// checkSCTP finds listeners for UDP on the port that SCTP in userland needs.
func (r *reader) checkSCTP(cfg *Config) {
	if cfg.SCTP.Provider == "kernel" || cfg.SCTP.Provider == "raw" {
		return
	}
	for _, l := range cfg.Listen {
		if socketKind(l.Transport) != "SCTP" {
			continue
		}
		for j, other := range cfg.Listen {
			if other.Transport == sipaddr.UDP && int(other.Addr.Port()) == cfg.SCTP.UDPPort && other.Addr.Addr() == l.Addr.Addr() {
				r.problemAt(index("listen", j), "%s needs the UDP port that %s is carried over: give it another one, or set sctp.udp_port", other, l)
			}
		}
		return // one is enough to say so
	}
}
