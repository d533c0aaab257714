package transaction

import (
	"hash/maphash"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// cookie begins every branch that is unique by itself: RFC 3261, Section 8.1.1.7.
const cookie = "z9hG4bK"

// serverKey is what a request is matched by: RFC 3261, Section 17.2.3, and whom it came from.
type serverKey struct {
	hash     uint64
	branch   string // empty: not unique, the request is matched as RFC 2543 did
	host     string // sent-by
	port     uint16
	identity string
}

// unique reports whether a branch is unique by itself. A cookie with nothing behind it is not.
func unique(branch string) bool {
	return len(branch) > len(cookie) && strings.EqualFold(branch[:len(cookie)], cookie)
}

// keyOf returns the key of a request, ok being false if it has no Via or CSeq that can be read.
func (l *Layer) keyOf(m *sip.Message, src *Source) (k serverKey, cseq sip.CSeq, ok bool) {
	via, err := m.TopVia()
	if err != nil {
		return k, cseq, false
	}
	if cseq, err = m.CSeq(); err != nil {
		return k, cseq, false
	}
	k = serverKey{branch: via.Branch, host: via.Host, port: via.Port, identity: src.Identity}
	if unique(k.branch) {
		k.hash = l.hash(k.branch, k.host)
		return k, cseq, true
	}
	k.branch = ""
	k.hash = l.hash(m.CallID(), k.host) + uint64(cseq.Seq)
	return k, cseq, true
}

// hash is keyed, so that nobody outside can choose branches that collide. It leaves out the identity and
// the method, which are compared, so that a CANCEL finds what it cancels.
func (l *Layer) hash(a, b string) uint64 {
	return maphash.String(l.seed, a)*31 + maphash.String(l.seed, b)
}

// clientHash is the hash of a client transaction. Branches of the two sides don't meet: ours are
// unguessable, and a request that comes back with one is compared as a request.
func (l *Layer) clientHash(branch string) uint64 { return maphash.String(l.seed, branch) }

// findServer returns the server transaction that a request belongs to, and how many share its hash. method
// is that of the request, INVITE for an ACK, and empty for a CANCEL that looks for what it cancels
// (RFC 3261, Section 9.2). The caller holds the shard's mu.
func (s *shard) findServer(k serverKey, method string, m *sip.Message, cseq sip.CSeq) (found *Server, chain int) {
	for c := s.table[k.hash]; c != nil; c = c.chain {
		chain++
		t := c.server
		if t == nil || t.key.branch != k.branch || t.key.host != k.host || t.key.port != k.port || t.key.identity != k.identity {
			continue
		}
		if t.method != method && (method != "" || t.method == sip.MethodCancel) {
			continue
		}
		if k.branch == "" && !t.matchesOld(m, cseq) {
			continue
		}
		return t, chain
	}
	return nil, chain
}

// matchesOld compares a request with the one that made the transaction, as RFC 3261, Section 17.2.3 has it
// for clients of RFC 2543, whose branch is not unique. Header fields are compared as text: who sends a
// request again, or builds an ACK or CANCEL for it, repeats what it wrote.
func (s *Server) matchesOld(m *sip.Message, cseq sip.CSeq) bool {
	o := s.old
	if o == nil || o.RequestURI() != m.RequestURI() || o.CallID() != m.CallID() {
		return false
	}
	oseq, err := o.CSeq()
	via, _ := m.FirstValue(sip.FieldVia)
	ovia, _ := o.FirstValue(sip.FieldVia)
	if err != nil || oseq.Seq != cseq.Seq || ovia != via || tag(o.From()) != tag(m.From()) {
		return false
	}
	if m.Method() == sip.MethodAck {
		// The tag of the response tells this ACK from that of another response. In Accepted the response
		// is the user's, who gets the ACK in any case.
		return s.machine.state == Accepted || tag(m.To()) == s.toTag
	}
	return tag(o.To()) == tag(m.To())
}

// tag returns the tag of a From or To, empty without one.
func tag(a *sip.NameAddr, err error) string {
	if err != nil {
		return ""
	}
	return a.Tag()
}

// findClient returns the client transaction of a branch and method: RFC 3261, Section 17.1.3. The caller
// holds the shard's mu.
func (s *shard) findClient(hash uint64, branch, method string) *Client {
	for c := s.table[hash]; c != nil; c = c.chain {
		if t := c.client; t != nil && t.branch == branch && t.method == method {
			return t
		}
	}
	return nil
}

// constantMethod returns a string equal to method that keeps no message alive.
func constantMethod(method string) string {
	for _, known := range [...]string{
		sip.MethodInvite, sip.MethodBye, sip.MethodOptions, sip.MethodMessage, sip.MethodRegister, sip.MethodCancel,
		sip.MethodSubscribe, sip.MethodNotify, sip.MethodInfo, sip.MethodUpdate, sip.MethodPrack, sip.MethodRefer, sip.MethodPublish,
	} {
		if method == known {
			return known
		}
	}
	return strings.Clone(method)
}
