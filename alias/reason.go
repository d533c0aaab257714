package alias

// Reason says why a connection is reused or is not, or why a row was not taken. The list is closed;
// the words of String stand in answers to operators and in counters, and do not change.
type Reason uint8

// The reasons.
const (
	None             Reason = iota // no decision was made
	Reuse                          // the connection is reused, or the row stands
	NoRow                          // no connection to this address is known
	IdentityMismatch               // there are connections, and none is authenticated for the domain: RFC 5923, Section 9.3
	OtherLocalDomain               // the connection belongs to another domain served here: RFC 5923, Section 9.3
	Closing                        // the connection is about to be closed: RFC 5923, Section 8.3
	NotTLS                         // the transport proves no identity: RFC 5923, Section 9.3
	Unauthenticated                // the peer has proved no identity: RFC 5923, Section 9.2
	DeclinedByPolicy               // the policy declines an alias with this peer: RFC 5923, Section 8.2
	Expired                        // the peer's certificate has ended since the handshake
	NoReference                    // the next hop is not a domain name, so that no identity can match it
	TooManyRows                    // the connection, or the table, has as many rows as it may
	BadRow                         // the row has no connection or no address

	ReuseByConfiguredReference // reused, for the name that is configured for the IP address
	ReuseByDialog              // reused, for the name that the peer proved when the dialog was made

	ClientOnly // the peer's certificate would not do for a server, which it would be backwards: RFC 5923, Section 5
)

var reasons = [...]string{
	None:             "none",
	Reuse:            "reuse",
	NoRow:            "no_row",
	IdentityMismatch: "identity_mismatch",
	OtherLocalDomain: "other_local_domain",
	Closing:          "closing",
	NotTLS:           "not_tls",
	Unauthenticated:  "unauthenticated",
	DeclinedByPolicy: "declined_by_policy",
	Expired:          "expired",
	NoReference:      "no_reference",
	TooManyRows:      "too_many_rows",
	BadRow:           "bad_row",

	ReuseByConfiguredReference: "reuse_by_configured_reference",
	ReuseByDialog:              "reuse_by_dialog",

	ClientOnly: "client_only",
}

// Reasons returns every reason that a decision or a refused row can have, for counters that start
// at zero.
func Reasons() []Reason {
	all := make([]Reason, 0, len(reasons)-1)
	for r := Reuse; int(r) < len(reasons); r++ {
		all = append(all, r)
	}
	return all
}

// String returns the word for r, such as "identity_mismatch".
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

// MarshalText returns what String returns.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
