package siptest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// Received is something that came: a message, a keep-alive, or what could not be read.
type Received struct {
	*sip.Message           // nil when there is none
	Text         string    // the bytes
	Err          error     // why the bytes are no message
	Conn         *Conn     // where it came; answers go back there
	At           time.Time // when
}

// Source is the address that it came from.
func (r *Received) Source() netip.AddrPort { return r.Conn.remote }

// received takes in what came on a connection.
func (p *Peer) received(c *Conn, raw string) {
	r := &Received{Text: raw, Conn: c, At: time.Now()}
	switch raw {
	case "\r\n\r\n":
		p.wire.add("%s <- ping", c)
	case "\r\n":
		p.wire.add("%s <- pong", c)
	default:
		p.wire.add("%s <-\n%s", c, raw)
		if r.Message, r.Err = sip.Parse(raw); r.Err != nil {
			r.Message = nil
		} else {
			r.Err = r.Message.Validate() // touches what is parsed late, so that others may read at once
		}
	}
	if p.cfg.Handle != nil && r.Message != nil && r.IsRequest() {
		p.cfg.Handle(r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, r)
	p.inbox = append(p.inbox, r)
	p.changed()
}

// Received gives all that came, in order.
func (p *Peer) Received() []*Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

// Conns gives all connections in the order in which they were made; those over UDP are there as well.
func (p *Peer) Conns() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.conns)
}

// Accept waits for the next accepted connection that was not yet taken.
func (p *Peer) Accept() *Conn {
	p.t.Helper()
	var c *Conn
	if !p.await(p.cfg.Wait, func() bool {
		if len(p.accepted) == 0 {
			return false
		}
		c, p.accepted = p.accepted[0], p.accepted[1:]
		return true
	}) {
		p.fatalf("%s expects a connection", p.cfg.Name)
	}
	return c
}

// take takes the first thing out of the inbox that fits.
func (p *Peer) take(wait time.Duration, fits func(*Received) bool) *Received {
	var r *Received
	p.await(wait, func() bool {
		i := slices.IndexFunc(p.inbox, fits)
		if i >= 0 {
			r = p.inbox[i]
			p.inbox = slices.Delete(p.inbox, i, i+1)
		}
		return i >= 0
	})
	return r
}

// Expect waits for the first thing that fits and was not yet taken. What came before it and does not fit
// stays for others. The text says in the log what was expected.
func (p *Peer) Expect(text string, fits func(*Received) bool) *Received {
	p.t.Helper()
	r := p.take(p.cfg.Wait, fits)
	if r == nil {
		p.fatalf("%s expects %s within %v", p.cfg.Name, text, p.cfg.Wait)
	}
	return r
}

// request fits requests with a method; empty: any.
func request(method string) func(*Received) bool {
	return func(r *Received) bool {
		return r.Message != nil && r.IsRequest() && (method == "" || r.Method() == method)
	}
}

// response fits responses to a method, empty for any, with a status: 180 that one, 100 to 600 by hundreds
// that one and its class with 1, 2 ... 6, 0 any.
func response(status int, method string) func(*Received) bool {
	return func(r *Received) bool {
		return r.Message != nil && !r.IsRequest() && (method == "" || r.Method() == method) &&
			(status == 0 || r.StatusCode() == status || r.StatusCode()/100 == status)
	}
}

// ExpectRequest waits for a request with a method; empty: any.
func (p *Peer) ExpectRequest(method string) *Received {
	p.t.Helper()
	return p.Expect("a "+method+" request", request(method))
}

// ExpectResponse waits for a response with a status: such as 180, or 2 for any 2xx, or 0 for any at all.
func (p *Peer) ExpectResponse(status int) *Received {
	p.t.Helper()
	return p.Expect(fmt.Sprintf("a response %d", status), response(status, ""))
}

// ExpectResponseTo is ExpectResponse for a response to one method.
func (p *Peer) ExpectResponseTo(method string, status int) *Received {
	p.t.Helper()
	return p.Expect(fmt.Sprintf("a response %d to %s", status, method), response(status, method))
}

// ExpectFinal waits for the final response to a method and passes over the provisional ones.
func (p *Peer) ExpectFinal(method string) *Received {
	p.t.Helper()
	return p.Expect("a final response to "+method, func(r *Received) bool {
		return response(0, method)(r) && r.StatusCode() >= 200
	})
}

// ExpectRequest waits for a request on this connection.
func (c *Conn) ExpectRequest(method string) *Received {
	c.p.t.Helper()
	return c.p.Expect(fmt.Sprintf("a %s request on %s", method, c), c.only(request(method)))
}

// ExpectResponse waits for a response on this connection.
func (c *Conn) ExpectResponse(status int) *Received {
	c.p.t.Helper()
	return c.p.Expect(fmt.Sprintf("a response %d on %s", status, c), c.only(response(status, "")))
}

// ExpectPong waits for a single CRLF on this connection.
func (c *Conn) ExpectPong() {
	c.p.t.Helper()
	c.p.Expect("a pong on "+c.String(), c.only(func(r *Received) bool { return r.Text == "\r\n" }))
}

// only fits what came on this connection.
func (c *Conn) only(fits func(*Received) bool) func(*Received) bool {
	return func(r *Received) bool { return r.Conn == c && fits(r) }
}

// ExpectSilence fails the test if anything that fits is in the inbox or comes within d; a nil fits takes
// all. It takes d of real time, so keep it short.
func (p *Peer) ExpectSilence(d time.Duration, fits func(*Received) bool) {
	p.t.Helper()
	if fits == nil {
		fits = func(*Received) bool { return true }
	}
	if r := p.take(d, fits); r != nil {
		p.fatalf("%s expects nothing of the kind, and got %q", p.cfg.Name, r.Text)
	}
}

// ExpectNoRequest is ExpectSilence for requests with a method; empty: any.
func (p *Peer) ExpectNoRequest(d time.Duration, method string) {
	p.t.Helper()
	p.ExpectSilence(d, request(method))
}
