package api

import "time"

// Explanation says where a request for a next-hop URI would go, and why.
type Explanation struct {
	URI         string     `json:"uri" doc:"the next hop"`
	LocalDomain string     `json:"local_domain" doc:"the served domain on whose behalf; empty when none is served"`
	Steps       []Step     `json:"steps" doc:"what was asked of DNS, in the order of the answers"`
	Expires     *time.Time `json:"expires,omitempty" doc:"until when the addresses hold"`
	Stale       bool       `json:"stale" doc:"the addresses are past their time and used because DNS fails"`
	Failure     string     `json:"failure,omitempty" doc:"why there is no address"`
	Ways        []Way      `json:"addresses" doc:"the resolved addresses in the order in which they are tried"`
	Would       string     `json:"would" doc:"what would be done, in one sentence"`
}

// Step is one question on the way to the addresses.
type Step struct {
	Question string  `json:"question" doc:"the name asked for, or the address that was set back"`
	Type     string  `json:"type" doc:"NAPTR, SRV, A, AAAA, or mark"`
	Answer   string  `json:"answer" doc:"the records, or why there are none"`
	TTL      float64 `json:"ttl_seconds" doc:"how long it still holds"`
	From     string  `json:"from,omitempty" doc:"the server, or the hosts file"`
	Cached   bool    `json:"cached" doc:"it was known before"`
}

// Way is what becomes of a request at one resolved address.
type Way struct {
	IP         string `json:"ip" doc:"of the resolved address"`
	Port       uint16 `json:"port" doc:"of the resolved address"`
	Transport  string `json:"transport" doc:"of the resolved address"`
	Reference  string `json:"reference_identity,omitempty" doc:"the name that must be proved there"`
	Basis      string `json:"basis" doc:"where that name comes from: uri, configured_reference or dialog"`
	Action     string `json:"action" doc:"refuse, reuse, dial, join (a dial that is under way) or datagram"`
	Reason     string `json:"reason" doc:"why, a word from a closed list"`
	Connection uint64 `json:"connection,omitempty" doc:"that carries the request"`
	Failure    string `json:"failure,omitempty" doc:"why it is refused"`
	// Considered are the alias rows of the address.
	Considered []Verdict `json:"rows" doc:"the alias rows that were considered, in the order of choice"`
}

// Verdict says of one alias row whether it would do, and why not.
type Verdict struct {
	Reason string `json:"reason" doc:"reuse, or why not"`
	Row    Alias  `json:"row" doc:"the row"`
}
