package siptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// Request is a request to be sent. Fields may be changed before it is.
type Request struct {
	Method, URI  string
	Via          []string // values, top first; the first is this peer's, with a fresh branch
	From, To     string   // values, with tags
	CallID       string
	CSeq         int
	Contact      string // value; empty: none
	Route        []string
	MaxForwards  int      // negative: none
	Headers      []string // further lines such as "Subject: hello"
	ContentType  string
	Body         string
	RecordRoute  []string
	viaTransport string
	sentBy       string
}

// Request makes a request of this peer's to be sent on the connection, out of any dialog. The Via has the
// port that the peer listens on for the transport, or else the one of the connection; over UDP it asks for
// rport.
func (c *Conn) Request(method, uri string) *Request {
	p := c.p
	local := c.local
	if at, ok := p.Listening(c.transport); ok {
		local = at
	}
	r := &Request{
		Method: method, URI: uri, CSeq: 1, MaxForwards: 70,
		From:         fmt.Sprintf("<sip:%s@%s>;tag=%s", p.cfg.Name, local.Addr(), Token(8)),
		To:           "<" + uri + ">",
		CallID:       Token(16) + "@" + local.Addr().String(),
		viaTransport: c.transport.String(), sentBy: local.String(),
	}
	switch method {
	case "INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE", "REGISTER":
		r.Contact = fmt.Sprintf("<sip:%s@%s;transport=%s>", p.cfg.Name, local, c.transport.URIParam())
	}
	if method == "INVITE" {
		r.ContentType, r.Body = "application/sdp", SDP(local.Addr().String())
	}
	if method == "MESSAGE" {
		r.ContentType, r.Body = "text/plain", "hello"
	}
	r.freshVia()
	return r
}

// SDP gives a small session description.
func SDP(host string) string {
	return "v=0\r\no=- 1 1 IN IP4 " + host + "\r\ns=-\r\nc=IN IP4 " + host + "\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
}

// freshVia gives the request a Via with a branch of its own.
func (r *Request) freshVia() {
	via := "SIP/2.0/" + r.viaTransport + " " + r.sentBy + ";branch=z9hG4bK" + Token(12)
	if r.viaTransport == "UDP" {
		via += ";rport"
	}
	r.Via = []string{via}
}

// SetSentBy makes the Via, with a fresh branch, name another host and port; further parameters such as
// "alias" may follow.
func (r *Request) SetSentBy(sentBy string, params ...string) *Request {
	r.sentBy = sentBy
	r.freshVia()
	for _, p := range params {
		r.Via[0] += ";" + p
	}
	return r
}

// String writes the request.
func (r *Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", r.Method, r.URI)
	line := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	for _, v := range r.Via {
		line("Via", v)
	}
	for _, v := range r.Route {
		line("Route", v)
	}
	for _, v := range r.RecordRoute {
		line("Record-Route", v)
	}
	if r.MaxForwards >= 0 {
		line("Max-Forwards", strconv.Itoa(r.MaxForwards))
	}
	line("From", r.From)
	line("To", r.To)
	line("Call-ID", r.CallID)
	line("CSeq", strconv.Itoa(r.CSeq)+" "+r.Method)
	if r.Contact != "" {
		line("Contact", r.Contact)
	}
	for _, h := range r.Headers {
		b.WriteString(h + "\r\n")
	}
	if r.ContentType != "" && r.Body != "" {
		line("Content-Type", r.ContentType)
	}
	line("Content-Length", strconv.Itoa(len(r.Body)))
	b.WriteString("\r\n" + r.Body)
	return b.String()
}

// derived makes a request without a body that shares what a dialog shares.
func (r *Request) derived(method string) *Request {
	d := *r
	d.Method, d.Headers, d.Body, d.ContentType, d.Contact = method, nil, "", "", ""
	d.Via, d.Route, d.MaxForwards = slices.Clone(r.Via), slices.Clone(r.Route), 70
	return &d
}

// Cancel makes the CANCEL for the request (RFC 3261, Section 9.1).
func (r *Request) Cancel() *Request { return r.derived("CANCEL") }

// Ack makes the ACK for the final response: for a 2xx within the dialog, with a branch of its own; for any
// other on the same branch (RFC 3261, Section 17.1.1.3).
func (r *Request) Ack(final *Received) *Request {
	if final.StatusCode() >= 300 {
		ack := r.derived("ACK")
		ack.To, _ = final.Value(sip.FieldTo)
		return ack
	}
	ack := r.InDialog("ACK", final)
	ack.CSeq = r.CSeq
	return ack
}

// InDialog makes a further request of the caller's in the dialog that a 2xx to r made: with its remote
// target and its route set (RFC 3261, Section 12.2.1.1).
func (r *Request) InDialog(method string, ok *Received) *Request {
	d := r.derived(method)
	d.CSeq++
	d.To, _ = ok.Value(sip.FieldTo)
	d.URI = contactURI(ok.Message, r.URI)
	d.Route = slices.Collect(ok.Values(sip.FieldRecordRoute))
	slices.Reverse(d.Route)
	d.freshVia()
	return d
}

// InDialog makes a request of the callee's in the dialog that this INVITE, answered by Reply, made. It is
// to be sent on conn, which need not be the one that the INVITE came on.
func (r *Received) InDialog(method string, conn *Conn) *Request {
	d := conn.Request(method, contactURI(r.Message, ""))
	d.From, _ = r.Value(sip.FieldTo)
	if to, err := r.To(); err == nil && to.Tag() == "" {
		d.From += ";tag=" + r.toTag()
	}
	d.To, _ = r.Value(sip.FieldFrom)
	d.CallID = r.CallID()
	d.Route = slices.Collect(r.Values(sip.FieldRecordRoute))
	d.Contact, d.Body, d.ContentType = "", "", ""
	return d
}

// contactURI gives the URI of the Contact of a message, or another if there is none.
func contactURI(m *sip.Message, other string) string {
	if value, ok := m.Value(sip.FieldContact); ok {
		if na, err := sip.ParseNameAddr(value); err == nil {
			return na.Addr
		}
	}
	return other
}

// SendRequest sends a request and gives it back.
func (c *Conn) SendRequest(r *Request) *Request {
	c.p.t.Helper()
	c.Send(r.String())
	return r
}

// Branch gives the branch in the top Via.
func (r *Request) Branch() string {
	v, err := sip.ParseVia(r.Via[0])
	if err != nil {
		return ""
	}
	return v.Branch
}
