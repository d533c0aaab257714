package api

// Transaction is one transaction that is alive.
type Transaction struct {
	Kind       string `json:"kind" doc:"client-invite, client-noninvite, server-invite or server-noninvite"`
	State      string `json:"state" doc:"as in the figures of RFC 3261, Section 17"`
	Method     string `json:"method" doc:"of the request"`
	Branch     string `json:"branch" doc:"of its top Via"`
	CallID     string `json:"call_id,omitempty" doc:"of a server transaction, until its final response"`
	Connection uint64 `json:"connection,omitempty" doc:"that it goes over; none with UDP"`
	Peer       string `json:"peer,omitempty" doc:"who sent the request, or who authenticated where it was sent"`
	Canceled   bool   `json:"canceled" doc:"an INVITE that is canceled, or about to be"`
	Timer      string `json:"timer,omitempty" doc:"the next one, as the RFCs name it"`
	// FiresIn is the time until the timer fires.
	FiresIn float64 `json:"fires_in_seconds" doc:"the time until then"`
}
