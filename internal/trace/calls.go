package trace

import (
	"slices"
	"strings"
	"time"
)

// Call is what is kept of the messages with one Call-ID, in short: a call, or some other transactions.
type Call struct {
	CallID          string
	Begun, Latest   time.Time // of the first and the last message that is kept
	Method          string    // of the first request
	RequestURI      string
	From, To        string
	Users           []string // of From, To and the Request-URI
	Status          int      // the latest that was sent upstream for Method; 0: none
	Reason          string   // behind it
	Peers           []string // names of configured peers
	Identities      []string // that were proved at the far ends
	Addresses       []string // IP addresses of the far ends
	Connections     []uint64
	Messages, Bytes int
	Whole           bool // the first message that is kept is one that begins it
}

// Calls returns what is kept, the latest begun first.
func (r *Recorder) Calls() []*Call {
	kept := r.snapshot()
	sortByTime(kept)
	byID, list := make(map[string]*Call), []*Call(nil)
	for _, m := range kept {
		c := byID[m.CallID]
		if c == nil {
			c = &Call{CallID: m.CallID, Begun: m.Time, From: m.From, To: m.To, Whole: !m.Sent && m.Status == 0 && m.OutsideDialog}
			byID[m.CallID] = c
			list = append(list, c)
		}
		c.add(m)
	}
	slices.Reverse(list)
	return list
}

// add takes one more message of a call into account.
func (c *Call) add(m *Message) {
	c.Latest = m.Time
	c.Messages++
	c.Bytes += len(m.Raw)
	if c.Method == "" {
		c.Method = m.Method
	}
	if c.RequestURI == "" && m.Status == 0 {
		c.RequestURI = m.RequestURI
		add(&c.Users, userOf(m.RequestURI))
	}
	if m.Sent && m.Status > 0 && m.Method == c.Method {
		c.Status, c.Reason = m.Status, m.Reason
	}
	add(&c.Users, m.FromUser)
	add(&c.Users, m.ToUser)
	add(&c.Peers, m.Peer)
	for id := range strings.FieldsSeq(m.Identity) {
		add(&c.Identities, id)
	}
	add(&c.Addresses, m.Remote.Addr().String())
	add(&c.Connections, m.Conn)
}

// maxNames bounds what is listed of one kind, for a peer chooses Call-IDs.
const maxNames = 16

// add puts something into a list that has it not yet.
func add[T comparable](list *[]T, x T) {
	var none T
	if x != none && len(*list) < maxNames && !slices.Contains(*list, x) {
		*list = append(*list, x)
	}
}
