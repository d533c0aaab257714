package api

import "time"

// Peer is a configured peer, with what is known of it.
type Peer struct {
	Name       string   `json:"name" doc:"as configured"`
	Status     string   `json:"status" doc:"connected, failing (the last that happened was a failure) or idle"`
	Identities []string `json:"identities" doc:"that are this peer, as configured"`
	Addresses  []string `json:"addresses" doc:"that are this peer, as configured"`
	Reference  string   `json:"reference_identity,omitempty" doc:"to authenticate it by at its addresses, as configured"`
	Alias      string   `json:"alias" doc:"accept or decline: its offers of reuse, as configured"`

	Connections  int        `json:"connections" doc:"open with it now"`
	Transactions int        `json:"transactions" doc:"that owe or await a final response over them"`
	LastUsed     *time.Time `json:"last_used,omitempty" doc:"when something was last read or written on them"`
	// Expiry is the soonest end of the certificates that it shows on them, and OwnExpiry of those that it is shown.
	Expiry      *time.Time `json:"certificate_expiry,omitempty" doc:"when the certificate ends that it shows; the soonest"`
	DaysLeft    *int       `json:"certificate_days_left,omitempty" doc:"until then"`
	OwnExpiry   *time.Time `json:"own_certificate_expiry,omitempty" doc:"when the certificate ends that it is shown; the soonest"`
	OwnDaysLeft *int       `json:"own_certificate_days_left,omitempty" doc:"until then"`
	// ReusesOurs and WeReuse are the two directions of RFC 5923.
	ReusesOurs bool `json:"reuses_ours" doc:"it sends requests over connections that we dialed"`
	WeReuse    bool `json:"we_reuse" doc:"there are alias rows of connections that it dialed"`

	Trouble *Trouble `json:"last_trouble,omitempty" doc:"what was the matter with it last"`
}

// Trouble is why there was no connection with a peer.
type Trouble struct {
	At      time.Time `json:"at" doc:"when"`
	Address string    `json:"address,omitempty" doc:"where"`
	Cause   string    `json:"cause" doc:"in plain words"`
	Mend    string    `json:"mend,omitempty" doc:"what to do about it"`
}
