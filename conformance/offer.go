package conformance

// This file is the prober as TLS client: it dials the target and offers the connection for reuse, as
// RFC 5923, Section 8.1 describes.

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// offer says how the prober dials and what it says on the connection.
type offer struct {
	cert   *certificate // nil: none
	sentBy string       // of the Via
	params string       // of the Via, behind the branch; "" is no alias
	via    string       // the whole Via with BRANCH in it, instead of the above
	from   netip.Addr   // default: the prober's first address
	domain string       // server_name and the host of the request; default: the target's domain
	plain  bool         // over TCP without TLS
}

// alias is the usual offer: a certificate and a sent-by at a listener.
func (c *probe) alias(cert certificate, label string, port uint16) offer {
	return offer{cert: &cert, sentBy: fmt.Sprintf("%s:%d", c.host(label), port), params: ";alias"}
}

// offer dials the target, sends it an OPTIONS and waits for the answer; status 0 is none. A connection that
// was refused is returned as one that has ended.
func (c *probe) offer(o offer) (n *conn, status int, err error) {
	if n, err = c.dial(o); err != nil || !n.isOpen() {
		return n, 0, err
	}
	return n, c.options(n, o), nil
}

// options sends the OPTIONS of an offer and waits for the answer.
func (c *probe) options(n *conn, o offer) (status int) {
	via := o.via
	if via == "" {
		via = "SIP/2.0/" + n.transport.String() + " " + o.sentBy + ";branch=BRANCH" + o.params
	}
	uri := c.p.requestTo
	if o.domain != "" {
		uri = "sip:" + o.domain
	}
	id := c.request(n, sip.MethodOptions, uri, via)
	return c.final(id, n)
}

// dial opens a connection to the target. The error is about the prober; a target that refuses makes a
// connection that has ended.
func (c *probe) dial(o offer) (*conn, error) {
	from, to, tr := o.from, c.p.target, c.p.cfg.Transport
	if !from.IsValid() {
		from = c.p.cfg.Listen
	}
	if o.plain {
		to, tr = c.p.cfg.Plain, sipaddr.TCP
	}
	raw, err := c.connect(from, to, tr)
	if err != nil {
		return nil, untestablef("the target takes no connection for %s: %v", tr, err)
	}
	n := c.newConn(raw, tr, true)
	name, sni := "no certificate", o.domain
	if o.cert != nil {
		name = o.cert.what
	}
	if _, err := netip.ParseAddr(strings.Trim(c.p.cfg.Domain, "[]")); sni == "" && err != nil {
		sni = c.p.cfg.Domain
	}
	if o.plain {
		c.logf("", n, "dialed from %s to %s over TCP", n.local, n.remote)
		c.goes(n.read)
		return n, nil
	}
	c.logf("", n, "dialed from %s to %s with server_name %q and %s", n.local, n.remote, sni, name)
	return n, c.secure(n, o.cert, sni)
}

// secure makes the TLS handshake of a dialed connection and begins to read from it.
func (c *probe) secure(n *conn, cert *certificate, sni string) error {
	own := new(tls.Certificate)
	if cert != nil {
		var err error
		if own, err = c.issue(*cert); err != nil {
			return err
		}
	}
	secured := tls.Client(n.wire(), &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: sni,
		InsecureSkipVerify: true, // whom the target is taken for is no question here
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.locked(func() { n.asked = true })
			return own, nil
		},
	})
	c.locked(func() { n.raw = secured })
	ctx, cancel := context.WithTimeout(c.ctx, c.p.cfg.Wait)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		n.end(err)
		return nil
	}
	c.locked(func() {
		n.secure = true
		if peers := secured.ConnectionState().PeerCertificates; len(peers) > 0 {
			n.presented = peers[0]
		}
	})
	c.goes(n.read)
	return nil
}

// request sends a request over a connection and returns its Call-ID.
func (c *probe) request(n *conn, method, uri, via string) string {
	id := token(16)
	via = strings.ReplaceAll(via, "BRANCH", sip.BranchCookie+token(16))
	n.send(fmt.Sprintf("%[1]s %[2]s SIP/2.0\r\nVia: %[3]s\r\nMax-Forwards: 70\r\nFrom: <sip:prober@%[4]s>;tag=%[5]s\r\n"+
		"To: <%[2]s>\r\nCall-ID: %[6]s\r\nCSeq: 1 %[1]s\r\nContent-Length: 0\r\n\r\n",
		method, uri, via, c.host("a"), token(8), id))
	return id
}

// final waits for the final response to a request that went over n, and returns its status: 0 when none came
// or the connection ended.
func (c *probe) final(id string, n *conn) (status int) {
	c.await(c.p.cfg.Wait, func() bool {
		for _, r := range c.replies {
			if r.CallID() == id && r.StatusCode() >= 200 {
				status = r.StatusCode()
			}
		}
		return status != 0 || n.ended != ""
	})
	return status
}
