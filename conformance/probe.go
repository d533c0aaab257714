package conformance

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// probe is one case that is being run: its connections, what came over them, and the log of it all. Names,
// ports and certificates are its own, so that nothing is left over from the case before.
type probe struct {
	p     *Prober
	ctx   context.Context // of the run: a probe is one call of a case, as a testing.T is one of a test
	begun time.Time
	done  sync.WaitGroup

	// mu guards the fields below, and those of connections and listeners that say so.
	mu        sync.Mutex
	changed   chan struct{} // closed and made anew with each change
	lines     []string
	conns     []*conn
	listeners []*listener
	arrivals  []*arrival
	replies   []*reply
	held      func(*sip.Message) bool // requests that are not answered at once; nil: none
	asks      []*ask                  // what the agent has asked for
	via       *conn                   // towards the trigger; nil: not yet
	dialed    int                     // connections so far, for their numbers
}

// maxSeen bounds what one case keeps of each: lines of the log, requests and responses. No case comes near it
// unless the target sends without end.
const maxSeen = 2000

// arrival is a request from the target.
type arrival struct {
	*sip.Message
	over *conn
}

// reply is a response from the target.
type reply struct {
	*sip.Message
	over *conn
}

func (p *Prober) newProbe(ctx context.Context) *probe {
	return &probe{p: p, ctx: ctx, begun: time.Now(), changed: make(chan struct{})}
}

// close ends all connections and waits for all goroutines.
func (c *probe) close() {
	var listeners []*listener
	var conns []*conn
	c.locked(func() { listeners, conns = c.listeners, c.conns })
	for _, l := range listeners {
		_ = l.raw.Close() // nothing is lost with it
	}
	for _, n := range conns {
		n.c.locked(func() {
			if n.ended == "" {
				n.ended = "closed by the prober"
			}
		})
		_ = n.wire().Close() // the same
	}
	c.done.Wait()
	c.locked(func() { conns = c.conns[len(conns):] })
	for _, n := range conns { // accepted while the others were closed; their readers have ended
		_ = n.wire().Close()
	}
}

// locked calls f with the lock held and wakes whoever waits.
func (c *probe) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// goes runs f beside; close waits for its end.
func (c *probe) goes(f func()) {
	c.done.Add(1)
	// ends when f does, which is when the connection or listener that it serves is closed
	go func() {
		defer c.done.Done()
		f()
	}()
}

// await waits until ok, which is called with the lock held, and reports whether it came to that in time.
func (c *probe) await(most time.Duration, ok func() bool) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		c.mu.Lock()
		good, changed := ok(), c.changed
		c.mu.Unlock()
		if good {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-c.ctx.Done():
			return false
		}
	}
}

// quiet waits for as long as nothing may happen, and reports whether ok stayed false.
func (c *probe) quiet(ok func() bool) bool { return !c.await(c.p.cfg.Quiet, ok) }

// logf adds a line to the log: "->" is to the target, "<-" from it.
func (c *probe) logf(way string, n *conn, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	who := ""
	if n != nil {
		who = n.String() + ": "
	}
	if way != "" {
		way += " "
	}
	c.locked(func() {
		switch {
		case len(c.lines) < maxSeen:
			c.lines = append(c.lines, fmt.Sprintf("%7.3fs %s%s%s", time.Since(c.begun).Seconds(), way, who, text))
		case len(c.lines) == maxSeen:
			c.lines = append(c.lines, "        and more, which is not shown")
		}
	})
}

// issue makes a certificate.
func (c *probe) issue(spec certificate) (*tls.Certificate, error) {
	pair, err := c.p.cfg.Authority.issue(spec)
	if err != nil {
		return nil, untestablef("no certificate could be made: %v", err)
	}
	return pair, nil
}

// host is one of the prober's names: "a" is "a.check.test", "" the domain itself.
func (c *probe) host(label string) string {
	if label == "" {
		return c.p.cfg.Names
	}
	return label + "." + c.p.cfg.Names
}

// domain is the usual certificate for some of the prober's names.
func (c *probe) domain(labels ...string) certificate {
	var hosts []string
	for _, l := range labels {
		hosts = append(hosts, c.host(l))
	}
	return certificate{what: "a certificate for " + strings.Join(hosts, " and "), uris: sipURIs(hosts), dns: hosts}
}

// newConn notes a connection.
func (c *probe) newConn(raw net.Conn, tr sipaddr.Transport, dialed bool) *conn {
	n := &conn{c: c, raw: raw, transport: tr, dialed: dialed, local: addrPort(raw.LocalAddr()), remote: addrPort(raw.RemoteAddr())}
	c.locked(func() {
		c.dialed++
		n.number = c.dialed
		c.conns = append(c.conns, n)
	})
	return n
}

// addrPort is the address of a socket.
func addrPort(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// listen opens a listener on any port of the prober's first address, for the transport under test.
func (c *probe) listen(spec certificate) (*listener, error) {
	return c.listenAt(netip.AddrPortFrom(c.p.cfg.Listen, 0), c.p.cfg.Transport, spec)
}

func (c *probe) listenAt(at netip.AddrPort, tr sipaddr.Transport, spec certificate) (*listener, error) {
	raw, err := c.bind(at, tr)
	if err != nil {
		return nil, untestablef("the prober cannot listen: %v", err)
	}
	l := &listener{c: c, raw: raw, transport: tr, at: addrPort(raw.Addr())}
	c.locked(func() { c.listeners = append(c.listeners, l) })
	if tr.Secure() {
		if err := l.present(spec); err != nil {
			return nil, err
		}
	}
	c.goes(l.accept)
	return l, nil
}

// port is where the listener takes connections.
func (l *listener) port() uint16 { return l.at.Port() }

// accepted are the connections so far.
func (l *listener) accepted() (conns []*conn) {
	l.c.locked(func() { conns = append(conns, l.conns...) })
	return conns
}

// message takes one message from the target and answers requests.
func (c *probe) message(n *conn, text string) {
	c.logf("<-", n, "%s", outline(text))
	m, err := sip.Parse(text)
	if err != nil {
		c.logf("", n, "that cannot be understood: %v", err)
		return
	}
	if !m.IsRequest() {
		agent := false
		c.locked(func() {
			if len(c.replies) < maxSeen {
				c.replies = append(c.replies, &reply{m, n})
			}
			agent = n == c.via
		})
		if agent && m.StatusCode() >= 300 && m.Method() == sip.MethodInvite {
			c.acknowledge(m)
		}
		return
	}
	held := false
	c.locked(func() {
		if len(c.arrivals) < maxSeen {
			c.arrivals = append(c.arrivals, &arrival{m, n})
		}
		held = c.held != nil && c.held(m)
	})
	if !held && m.Method() != sip.MethodAck {
		c.answer(n, m, 200)
	}
}

// answer sends a response to a request.
func (c *probe) answer(n *conn, m *sip.Message, status int) {
	var extra []sip.Line
	for rr := range m.Values(sip.FieldRecordRoute) {
		extra = append(extra, sip.Line{Name: "Record-Route", Value: rr})
	}
	if m.Method() == sip.MethodInvite && status < 300 {
		extra = append(extra, sip.Line{Name: "Contact", Value: "<" + m.RequestURI() + ">"})
	}
	n.send(string(sip.AppendResponse(nil, m, status, "", token(6), extra...)))
}

// token is text that nobody guesses, n letters at least.
func token(n int) string { return strings.ToLower(rand.Text()[:max(n, 6)]) }
