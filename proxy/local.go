package proxy

// What the proxy answers by itself, as a user agent server: RFC 3261, Section 8.2
// and RFC 3261, Section 11.

import (
	"context"
	"log/slog"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// answer answers a request that is for this proxy itself.
func (c *Core) answer(tx *transaction.Server, p *plan) {
	if err := unsupported(p.req, sip.FieldRequire); err != nil {
		c.refuse(tx, p.req, p.domain, err)
		return
	}
	switch {
	case p.method == sip.MethodOptions:
		c.respondTo(tx, p.req, 200, "", []sip.Line{
			{Name: "Allow", Value: "OPTIONS"},
			{Name: "Accept", Value: "application/sdp"},
			{Name: "Accept-Encoding", Value: "identity"},
			{Name: "Accept-Language", Value: "en"},
			{Name: "Supported", Value: ""},
		})
	case p.uri.User != "":
		c.refuse(tx, p.req, p.domain, statusError(404, ""))
	case isKnownMethod(p.method):
		c.refuse(tx, p.req, p.domain, &StatusError{Status: 405, Headers: []sip.Line{{Name: "Allow", Value: "OPTIONS"}}})
	default:
		c.refuse(tx, p.req, p.domain, statusError(501, ""))
	}
}

// refuse sends the final response to a request that goes nowhere at first sight.
func (c *Core) refuse(tx *transaction.Server, req *sip.Message, domain string, why *StatusError) {
	c.logRefused(req, why)
	b := getBuffer()
	*b = c.appendRefusal(*b, req, tx.Source(), tx.Tag(), why, domain)
	c.stats.sent.countStatus(why.Status)
	if err := tx.Refuse(*b, why.Status); err != nil {
		c.stats.undelivered.Add(1)
	}
	putBuffer(b)
}

// reject sends a final response that says why a request went no further.
func (c *Core) reject(tx *transaction.Server, req *sip.Message, domain string, err *StatusError) {
	c.logRefused(req, err)
	c.respondTo(tx, req, err.Status, err.Reason, err.lines(c.rules.Load().agentOf(domain)))
}

func (c *Core) logRefused(req *sip.Message, err *StatusError) {
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("request refused", "call_id", shown(req.CallID()), "method", shown(req.Method()),
			"status", err.Status, "err", err)
	}
}

// appendRefusal writes a response that says why. To a datagram of a stranger, whose source may be forged, the answer is
// without the text if it would be larger than what it answers.
func (c *Core) appendRefusal(dst []byte, req *sip.Message, src *transaction.Source, tag string, why *StatusError, domain string) []byte {
	b := sip.AppendResponse(dst, req, why.Status, why.Reason, tag, why.lines(c.rules.Load().agentOf(domain))...)
	if !src.Flow.Reliable() && !judged(src).Relay && len(b)-len(dst) > len(req.Raw()) {
		b = sip.AppendResponse(dst, req, why.Status, why.Reason, tag, why.Headers...)
	}
	return b
}

func (c *Core) respondTo(tx *transaction.Server, req *sip.Message, status int, reason string, lines []sip.Line) {
	b := getBuffer()
	*b = sip.AppendResponse(*b, req, status, reason, tx.Tag(), lines...)
	c.respond(tx, *b, status)
	putBuffer(b)
}

// respond hands a written response to the server transaction.
func (c *Core) respond(tx *transaction.Server, b []byte, status int) {
	c.stats.sent.countStatus(status)
	if err := tx.Respond(b, status); err != nil {
		// The transaction ended meanwhile, or the client is gone: RFC 3261, Section 16.9 has the response dropped.
		c.stats.undelivered.Add(1)
	}
}

// localTag returns the To tag of a response without a transaction: the same for each retransmission of the request
// (RFC 3261, Section 8.2.7), and not to be guessed.
func (c *Core) localTag(req *sip.Message) string {
	var h keyed
	h.init(c.seed)
	h.put(req.CallID())
	h.put(req.Branch())
	if v, ok := req.Value(sip.FieldFrom); ok {
		h.put(v)
	}
	var b [16]byte
	return string(appendHex(b[:0], h.sum()))
}

// answerable reports whether the top Via tells a protocol and a host, be the rest of it as it may.
// RFC 4475, Section 3.1.2.1 wants a 400 for a Via with nothing but separators behind them.
func answerable(m *sip.Message) bool {
	if via, err := m.TopVia(); err == nil {
		return via.Host != ""
	}
	v, _ := m.FirstValue(sip.FieldVia)
	protocol, host, ok := strings.Cut(v, " ")
	host = strings.TrimLeft(host, " \t")
	if !ok || host == "" || strings.Count(protocol, "/") != 2 || !strings.HasPrefix(protocol, "SIP/") {
		return false
	}
	c := host[0] | 0x20
	return c >= 'a' && c <= 'z' || host[0] >= '0' && host[0] <= '9' || host[0] == '['
}

// Malformed answers what could not be parsed or framed, without a transaction. m is what was understood of it, and
// may be nil. There is no answer to a response, to an ACK, or to a datagram that has no Via that leads back
// (RFC 3261, Section 8.2.6 and RFC 3261, Section 18.2.2).
func (c *Core) Malformed(m *sip.Message, err error, src *transaction.Source) {
	c.stats.malformed.Add(1)
	if m == nil || src == nil || src.Flow == nil || !m.IsRequest() || m.Method() == "" || m.Method() == sip.MethodAck {
		return
	}
	// Over a connection no Via is needed to find the way back (RFC 3261, Section 18.2.2), only to be recognised.
	if !answerable(m) && !(src.Flow.Reliable() && m.Count(sip.FieldVia) > 0) {
		return
	}
	why := malformed(err)
	b := getBuffer()
	*b = c.appendRefusal(*b, m, src, c.localTag(m), why, c.rules.Load().first)
	c.stats.sent.countStatus(why.Status)
	if err := src.Flow.Send(*b); err != nil {
		c.stats.undelivered.Add(1)
	}
	putBuffer(b)
}
