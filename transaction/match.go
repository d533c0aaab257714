package transaction

import (
	"encoding/binary"
	"hash/maphash"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// cookie begins every branch that is unique by itself: RFC 3261, Section 8.1.1.7.
const cookie = "z9hG4bK"

// serverKey is what a request is matched by: RFC 3261, Section 17.2.3, and whom it came from.
type serverKey struct {
	// id is made of the branch, the sent-by and the identity. It leaves out the method, so that a CANCEL finds
	// what it cancels. For a client of RFC 2543, whose branch is not unique, it is made of all that a request
	// and its ACK or CANCEL have in common.
	id digest
	// old says that it is the latter. to is then a digest of the tag of To, which an ACK has from the response.
	old bool
	to  uint32
}

// method is a method as it is compared: the number of one that is known, or the highest bit and a keyed hash. 0 is none.
type method uint32

const (
	methodInvite method = iota + 1
	methodCancel
	methodUnknown method = 1 << 31
)

// methods are the known ones, by number.
var methods = [...]string{
	"", sip.MethodInvite, sip.MethodCancel, sip.MethodBye, sip.MethodOptions, sip.MethodMessage, sip.MethodRegister,
	sip.MethodSubscribe, sip.MethodNotify, sip.MethodInfo, sip.MethodUpdate, sip.MethodPrack, sip.MethodRefer, sip.MethodPublish,
}

// methodOf returns what stands for a method.
func (l *Layer) methodOf(name string) method {
	for i, known := range methods {
		if name == known {
			return method(i)
		}
	}
	return methodUnknown | method(maphash.String(l.seed, name))
}

// nameOf returns a string equal to name, which m stands for, that keeps no message alive.
func nameOf(m method, name string) string {
	if m&methodUnknown == 0 {
		return methods[m]
	}
	return strings.Clone(name)
}

// unique reports whether a branch is unique by itself. A cookie with nothing behind it is not.
func unique(branch string) bool {
	return len(branch) > len(cookie) && strings.EqualFold(branch[:len(cookie)], cookie)
}

// What begins the bytes of which a digest is made, so that those of one kind are never those of another.
const (
	digestBranch = iota
	digestOld
)

// keyOf returns the key of a request, ok being false if it has no Via or CSeq that can be read.
func (l *Layer) keyOf(m *sip.Message, src *Source) (k serverKey, ok bool) {
	via, err := m.TopVia()
	if err != nil {
		return k, false
	}
	cseq, err := m.CSeq()
	if err != nil {
		return k, false
	}
	var room [256]byte
	b := room[:0]
	if unique(via.Branch) {
		b = appendText(append(b, digestBranch), via.Branch)
	} else {
		// RFC 3261, Section 17.2.3 compares header fields. As text, for who sends a request again, or builds an ACK
		// or CANCEL for it, repeats what it wrote.
		text, _ := m.FirstValue(sip.FieldVia)
		b = appendText(append(b, digestOld), text)
		b = appendText(appendText(b, m.RequestURI()), m.CallID())
		b = appendText(binary.LittleEndian.AppendUint32(b, cseq.Seq), tag(m.From()))
		k.old, k.to = true, l.toTag(tag(m.To()))
	}
	b = binary.LittleEndian.AppendUint16(appendText(b, via.Host), via.Port)
	k.id = l.key.sum(appendText(b, src.Identity))
	return k, true
}

// toTag returns what stands for a tag of To.
func (l *Layer) toTag(tag string) uint32 { return uint32(maphash.String(l.seed, tag)) }

// sourceDigest stands for where a request came from.
func (l *Layer) sourceDigest(src *Source) uint64 {
	var room [24]byte
	ip := src.Remote.Addr().As16()
	b := binary.LittleEndian.AppendUint16(append(room[:0], ip[:]...), src.Remote.Port())
	return l.key.sum(append(b, byte(src.Remote.Transport))).lo
}

// clientID returns the digest of a client transaction. Branches of the two sides don't meet: those of
// requests that come are hashed with more.
func (l *Layer) clientID(branch string) digest { return l.key.text(branch) }

// matched is a transaction that was found: at work, or finished.
type matched struct {
	ref    uint32 // 0: there is none
	server *Server
	client *Client
	place  place // with server and client nil
}

// found returns the transaction with a ref if it has that digest.
func (s *shard) found(ref uint32, id digest) (f matched, ok bool) {
	if ref&refFinished != 0 {
		f = matched{ref: ref, place: s.finished(ref)}
		return f, f.place.id == id
	}
	c := s.live[ref]
	return matched{ref: ref, server: c.server, client: c.client}, c.id == id
}

// findServer returns the server transaction that a request belongs to, and how many share its digest. method
// is that of the request, methodInvite for an ACK, and 0 for a CANCEL that looks for what it cancels
// (RFC 3261, Section 9.2). The caller holds the shard's mu.
func (s *shard) findServer(k *serverKey, method method, isAck bool) (f matched, chain int) {
	tag := k.id.tag()
	for at := tag; ; {
		ref := s.index.find(tag, &at)
		if ref == 0 {
			return matched{}, chain
		}
		f, ok := s.found(ref, k.id)
		if !ok {
			continue
		}
		chain++
		var have serverMark
		if f.server != nil {
			have = f.server.mark()
		} else {
			have = f.place.mark()
		}
		if have.method != method && (method != 0 || have.method == methodCancel) {
			continue
		}
		if k.old && !have.fits(k, isAck) {
			continue
		}
		return f, chain
	}
}

// serverMark tells apart the server transactions with one digest.
type serverMark struct {
	method    method
	state     State
	to, ackTo uint32 // of a request of RFC 2543: the tag of its To, and that of the final response, which the ACK has
}

// fits compares the tags of To.
func (s serverMark) fits(k *serverKey, isAck bool) bool {
	if isAck {
		// The tag of the response tells this ACK from that of another response. In Accepted the response
		// is the user's, who gets the ACK in any case.
		return s.state == Accepted || k.to == s.ackTo
	}
	return k.to == s.to
}

func (s *Server) mark() serverMark { return serverMark{s.method, s.machine.state, s.to, s.ackTo} }

func (f *finished) mark() serverMark {
	return serverMark{f.method, f.state, uint32(f.whom), uint32(f.whom >> 32)}
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
func (s *shard) findClient(id digest, method method) matched {
	tag := id.tag()
	for at := tag; ; {
		ref := s.index.find(tag, &at)
		if ref == 0 {
			return matched{}
		}
		f, ok := s.found(ref, id)
		if ok && (f.client != nil && f.client.method == method || f.client == nil && f.place.method == method) {
			return f
		}
	}
}

// Knows reports whether there is a transaction that m belongs to: one that a response answers, or a request that is
// known already, or that m acknowledges or cancels. It changes nothing.
func (l *Layer) Knows(m *sip.Message, src *Source) bool {
	if !m.IsRequest() {
		via, err := m.TopVia()
		cseq, err2 := m.CSeq()
		if err != nil || err2 != nil {
			return false
		}
		id := l.clientID(via.Branch)
		sh := l.shard(id)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		return sh.findClient(id, l.methodOf(cseq.Method)).ref != 0
	}
	k, ok := l.keyOf(m, src)
	if !ok {
		return false
	}
	sh := l.shard(k.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var found matched
	switch m.Method() {
	case sip.MethodAck:
		found, _ = sh.findServer(&k, methodInvite, true)
	case sip.MethodCancel:
		if found, _ = sh.findServer(&k, methodCancel, false); found.ref == 0 {
			found, _ = sh.findServer(&k, 0, false)
		}
	default:
		found, _ = sh.findServer(&k, l.methodOf(m.Method()), false)
	}
	return found.ref != 0
}
