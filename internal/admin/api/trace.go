package api

import "time"

// Call is what is kept of the messages with one Call-ID, in short: a call, or other transactions.
type Call struct {
	CallID      string    `json:"call_id" doc:"of all its messages"`
	Begun       time.Time `json:"begun" doc:"when the first message that is kept came"`
	Latest      time.Time `json:"latest" doc:"when the last one did"`
	Method      string    `json:"method" doc:"of the first request"`
	RequestURI  string    `json:"request_uri,omitempty" doc:"of the first request"`
	From        string    `json:"from,omitempty" doc:"its URI"`
	To          string    `json:"to,omitempty" doc:"its URI"`
	Status      int       `json:"status,omitempty" doc:"the latest that was sent upstream for this method"`
	Reason      string    `json:"reason,omitempty" doc:"the text behind the status"`
	Users       []string  `json:"users" doc:"the user parts of From, To and the Request-URI"`
	Peers       []string  `json:"peers" doc:"the configured peers that it went by"`
	Identities  []string  `json:"identities" doc:"what was proved at the far ends"`
	Addresses   []string  `json:"ips" doc:"of the far ends"`
	Connections []uint64  `json:"connections" doc:"that it went by; none with UDP"`
	Messages    int       `json:"messages" doc:"how many are kept"`
	Bytes       int       `json:"bytes" doc:"that they have"`
	Whole       bool      `json:"whole" doc:"its first request is kept"`
}

// Trace has the messages of one Call-ID that are kept: a ladder.
type Trace struct {
	CallID   string         `json:"call_id" doc:"of all messages"`
	Messages []TraceMessage `json:"messages" doc:"in the order of their times"`
}

// TraceMessage is one message that was received or sent.
type TraceMessage struct {
	Number      uint64    `json:"number" doc:"grows with each message that is recorded"`
	Time        time.Time `json:"time" doc:"when it was received or sent"`
	Direction   string    `json:"direction" doc:"received or sent"`
	Transport   string    `json:"transport" doc:"udp, tcp or tls"`
	Connection  uint64    `json:"connection,omitempty" doc:"that it went over; none with UDP"`
	Local       string    `json:"local_address" doc:"our end"`
	Remote      string    `json:"remote_address" doc:"the far end"`
	LocalDomain string    `json:"local_domain,omitempty" doc:"the served domain that the connection belongs to; with TLS"`
	Peer        string    `json:"peer,omitempty" doc:"the configured peer at the far end"`
	Identities  []string  `json:"identities" doc:"what the far end has proved to be"`
	CallID      string    `json:"call_id" doc:"of the message"`
	CSeq        uint32    `json:"cseq" doc:"the number in CSeq"`
	Method      string    `json:"method" doc:"of the request; of a response that in CSeq"`
	Status      int       `json:"status,omitempty" doc:"of a response"`
	Reason      string    `json:"reason,omitempty" doc:"the text behind the status"`
	RequestURI  string    `json:"request_uri,omitempty" doc:"of a request"`
	From        string    `json:"from,omitempty" doc:"its URI"`
	To          string    `json:"to,omitempty" doc:"its URI"`
	Branch      string    `json:"branch,omitempty" doc:"of the top Via"`
	Bytes       int       `json:"bytes" doc:"the length of the message"`
	// Decision is the same as explain tells.
	Decision *Way   `json:"decision,omitempty" doc:"of a request that was sent: which connection carries it, and why"`
	Problem  string `json:"problem,omitempty" doc:"why it could not be used"`
	Raw      []byte `json:"raw,omitempty" doc:"the bytes in base64, when raw=true; secrets are overwritten with x unless configured otherwise"`
}

// Missed says that a follower was too slow.
type Missed struct {
	Missed int `json:"missed" doc:"how many messages were left out since the last one"`
}
