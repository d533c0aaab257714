package api

import "time"

// Alias is one row of an alias table: RFC 5923, Section 5.
type Alias struct {
	LocalDomain string     `json:"local_domain" doc:"the served domain whose table it is in"`
	IP          string     `json:"ip" doc:"of the resolved address"`
	Port        uint16     `json:"port" doc:"of the resolved address"`
	Transport   string     `json:"transport" doc:"of the resolved address"`
	Identities  []string   `json:"identities" doc:"what the peer's certificate proved"`
	Connection  uint64     `json:"connection" doc:"the alias descriptor"`
	Direction   string     `json:"direction" doc:"dialed or accepted"`
	MadeBy      string     `json:"made_by" doc:"the Call-ID of the request that made it, or dial"`
	LastUsed    time.Time  `json:"last_used" doc:"when a request last took it, or when it was made"`
	Fingerprint string     `json:"fingerprint" doc:"SHA-256 of the peer's certificate, in hexadecimal"`
	Expiry      *time.Time `json:"certificate_expiry,omitempty" doc:"when the peer's certificate ends"`
}
