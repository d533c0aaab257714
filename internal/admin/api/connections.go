package api

import "time"

// Connection is one connection over TCP or SCTP, with TLS or without.
type Connection struct {
	ID          uint64 `json:"id" doc:"the alias descriptor; never given twice by one process"`
	Transport   string `json:"transport" doc:"tcp, tls, sctp or tls-sctp"`
	SCTP        string `json:"sctp,omitempty" doc:"who speaks SCTP for it: kernel, udp (userland over UDP) or raw (userland over IP)"`
	Streams     int    `json:"streams,omitempty" doc:"of an association: those that carry TLS"`
	Direction   string `json:"direction" doc:"dialed or accepted"`
	State       string `json:"state" doc:"open, draining, closing or closed"`
	LocalDomain string `json:"local_domain,omitempty" doc:"the served domain that it belongs to; with TLS"`
	Peer        string `json:"peer,omitempty" doc:"the configured peer at the far end"`
	Local       string `json:"local_address" doc:"our end"`
	Source      string `json:"source_address" doc:"the far end, where the peer's bytes come from"`
	// Resolved is where a dialed connection was dialed to.
	Resolved     string     `json:"resolved_address,omitempty" doc:"what was dialed"`
	Reference    string     `json:"reference_identity,omitempty" doc:"the name that the peer had to prove; when dialed over TLS"`
	Identities   []string   `json:"identities" doc:"what the peer's certificate proved"`
	Expiry       *time.Time `json:"certificate_expiry,omitempty" doc:"when the peer's certificate ends"`
	TLSVersion   string     `json:"tls_version,omitempty" doc:"such as TLS 1.3"`
	Cipher       string     `json:"cipher_suite,omitempty" doc:"of TLS"`
	Resumed      bool       `json:"resumed" doc:"whether a TLS session was resumed"`
	Opened       time.Time  `json:"opened" doc:"when it was dialed or accepted"`
	Handshake    float64    `json:"handshake_seconds" doc:"how long TLS took, and connecting when dialed"`
	LastUsed     time.Time  `json:"last_used" doc:"when something was last read or written"`
	BytesIn      uint64     `json:"bytes_in" doc:"as they came from the socket"`
	BytesOut     uint64     `json:"bytes_out" doc:"before encryption"`
	Queued       int        `json:"queued_bytes" doc:"that wait to be written"`
	Transactions int        `json:"transactions" doc:"that owe or await a final response over it"`
	AliasRows    int        `json:"alias_rows" doc:"by which requests find it"`
	Backwards    bool       `json:"reused_backwards" doc:"dialed, and the peer sends requests over it"`
}
