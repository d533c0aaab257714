package conformance

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// conn is one connection between the prober and the target. What the probe's lock guards is guarded by it
// here too.
type conn struct {
	c         *probe
	number    int
	dialed    bool // by the prober
	transport sipaddr.Transport
	local     netip.AddrPort
	remote    netip.AddrPort
	listener  *listener // that accepted it; nil: dialed

	// guarded by the probe's lock
	raw       net.Conn // the TLS connection once the handshake begins
	secure    bool     // the handshake has ended well, or there is none
	asked     bool     // the target asked for our certificate; on a dialed one
	sni       string
	presented *x509.Certificate // the target's certificate, if it presented one
	bytes     int               // of application data from the target
	ended     string            // how the target's direction ended; "": it has not
}

// String names the connection in the log and in reasons.
func (n *conn) String() string { return fmt.Sprintf("connection %d", n.number) }

// wire is what to read from, write to and close.
func (n *conn) wire() (raw net.Conn) {
	n.c.locked(func() { raw = n.raw })
	return raw
}

// read takes what the target sends until its direction ends.
func (n *conn) read() {
	var dec framing.Decoder
	var buf []byte
	chunk := make([]byte, 16<<10)
	raw := n.wire()
	for {
		k, err := raw.Read(chunk)
		if k > 0 {
			n.c.locked(func() { n.bytes += k })
			buf = append(buf, chunk[:k]...)
			buf = n.cut(&dec, buf)
		}
		if err != nil {
			n.end(err)
			return
		}
	}
}

// cut takes what is complete off the start of buf.
func (n *conn) cut(dec *framing.Decoder, buf []byte) []byte {
	for {
		kind, size, err := dec.Next(buf)
		switch {
		case err != nil:
			n.c.logf("<-", n, "what is no SIP: %.60q", buf)
			return nil
		case kind == framing.More:
			return buf
		case kind == framing.Ping:
			n.write([]byte("\r\n")) // RFC 5626, Section 3.5.1
		case kind == framing.Message:
			n.c.message(n, string(buf[:size]))
		}
		buf = buf[size:]
	}
}

// end notes how the target's direction ended.
func (n *conn) end(err error) {
	var alert tls.AlertError
	how := "broken: " + err.Error()
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF) && n.transport.Secure():
		how = "closed by the target with a closure alert"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		how = "closed by the target without a closure alert"
	case errors.As(err, &alert), errors.As(err, &op) && op.Op == "remote error":
		how = "refused by the target: " + strings.TrimPrefix(err.Error(), "remote error: ")
	case errors.Is(err, net.ErrClosed):
		how = "closed by the prober"
	}
	first := false
	n.c.locked(func() {
		if first = n.ended == ""; first {
			n.ended = how
		}
	})
	if first && !errors.Is(err, net.ErrClosed) {
		n.c.logf("", n, "%s", how)
	}
}

// write sends bytes. What cannot be sent shows when nothing comes back.
func (n *conn) write(b []byte) {
	if _, err := n.wire().Write(b); err != nil {
		n.c.logf("", n, "nothing can be sent: %v", err)
	}
}

// send sends a message and logs it.
func (n *conn) send(text string) {
	n.c.logf("->", n, "%s", outline(text))
	n.write([]byte(text))
}

// halfClose sends a closure alert and stays for what comes: RFC 5923, Section 8.3.
func (n *conn) halfClose() {
	n.c.logf("->", n, "closure alert")
	if t, ok := n.wire().(*tls.Conn); ok {
		_ = t.CloseWrite() // shows on the other side, if anywhere
	}
}

// shut closes the connection in an orderly way: it gives the target a moment to do the same, so that the
// connection is gone for both when shut returns.
func (n *conn) shut() {
	n.halfClose()
	n.c.quiet(func() bool { return n.ended != "" })
	n.c.logf("", n, "closed by the prober")
	n.c.locked(func() {
		if n.ended == "" {
			n.ended = "closed by the prober"
		}
	})
	_ = n.wire().Close() // all has been said
}

// isOpen says whether the target's direction is open; the probe's lock is not held.
func (n *conn) isOpen() bool {
	open := false
	n.c.locked(func() { open = n.ended == "" })
	return open
}

// outline is what the log shows of a message: the start line, the topmost Via, and what else matters here.
func outline(text string) string {
	m, err := sip.Parse(text)
	if err != nil || m == nil {
		return fmt.Sprintf("%.60q", text)
	}
	first, _, _ := strings.Cut(text, "\r\n")
	first = strings.TrimSuffix(first, " SIP/2.0")
	if !m.IsRequest() {
		if w, ok := m.Header("Warning"); ok {
			first += " | Warning: " + w
		}
		return first
	}
	if v, ok := m.FirstValue(sip.FieldVia); ok {
		if branch := m.Branch(); branch != "" {
			v = strings.Replace(v, branch, "...", 1)
		}
		first += " | Via: " + v
	}
	for rr := range m.Values(sip.FieldRecordRoute) {
		first += " | Record-Route: " + rr
	}
	return first
}

// listener is where the prober takes connections from the target.
type listener struct {
	c         *probe
	raw       net.Listener
	transport sipaddr.Transport
	at        netip.AddrPort

	// guarded by the probe's lock
	cert   *tls.Certificate // presented to whom dials
	called string           // what is special about it
	conns  []*conn
}

// present changes the certificate that is presented from now on.
func (l *listener) present(spec certificate) error {
	pair, err := l.c.issue(spec)
	if err != nil {
		return err
	}
	l.c.locked(func() { l.cert, l.called = pair, spec.what })
	return nil
}

// maxConns bounds the connections that one listener takes; no case needs a tenth of it.
const maxConns = 256

// accept takes connections until the listener is closed.
func (l *listener) accept() {
	for {
		raw, err := l.raw.Accept()
		if err != nil {
			return
		}
		if len(l.accepted()) >= maxConns {
			_ = raw.Close() // a target that dials without end
			continue
		}
		n := l.c.newConn(raw, l.transport, false)
		n.listener = l
		l.c.locked(func() { l.conns = append(l.conns, n) })
		// ends when the connection does, which the end of the probe closes
		l.c.goes(func() { n.serve(l) })
	}
}

// serve makes the handshake of an accepted connection and reads from it.
func (n *conn) serve(l *listener) {
	var pair *tls.Certificate
	called := ""
	n.c.locked(func() { pair, called = l.cert, l.called })
	n.c.logf("", n, "dialed by the target from %s to %s", n.remote, n.local)
	if l.transport.Secure() {
		secured := tls.Server(n.raw, &tls.Config{
			MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true,
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				n.c.locked(func() { n.sni = h.ServerName })
				n.c.logf("", n, "server_name %q; presenting %s", h.ServerName, called)
				return pair, nil
			},
		})
		n.c.locked(func() { n.raw = secured })
		if err := secured.HandshakeContext(n.c.ctx); err != nil {
			n.end(err)
			return
		}
		if peers := secured.ConnectionState().PeerCertificates; len(peers) > 0 {
			n.c.locked(func() { n.presented = peers[0] })
		}
	}
	n.c.locked(func() { n.secure = true })
	n.read()
}
