package transaction

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// FuzzLayer plays random messages, answers, cancels, broken connections and pauses against a layer, and
// checks what must hold whatever happens:
//
//   - a server transaction gives one final response to the wire, but for retransmissions and 2xx to INVITE;
//   - a client transaction gives its user one end: a final response (after which only 2xx to INVITE) or a
//     failure, and nothing after a failure;
//   - once everything is answered and canceled, the table empties by itself, and the clock rests.
func FuzzLayer(f *testing.F) {
	f.Add([]byte("\x00\x10\x01\x11\x02\x12\x03\x13"))
	f.Add([]byte{0, 0, 6, 5, 0, 1, 0, 7, 40, 0, 2, 6, 4, 0, 3, 8, 1, 7, 200})
	f.Add([]byte{4, 0, 5, 0, 1, 9, 0, 10, 1, 5, 0, 4, 7, 255, 5, 0, 3, 7, 255})
	f.Add([]byte{4, 0, 5, 0, 0, 10, 2, 5, 0, 4, 0, 0, 11, 0, 6, 2, 11, 1, 7, 10, 0, 17, 6, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 300 {
			return
		}
		synctest.Test(t, func(t *testing.T) { newPlay(t).run(data) })
	})
}

// play is one run of the fuzz test.
type play struct {
	t     *testing.T
	l     *Layer
	flows []*testFlow // as sources and as where requests are sent

	mu      sync.Mutex
	servers []*Server
	clients []*playClient
}

func newPlay(t *testing.T) *play {
	p := &play{t: t, flows: []*testFlow{udp(), tls(1, "a"), tls(2, "b")}}
	p.l = New(Config{User: p, Reconnect: func(old Flow, done func(Flow, error)) {
		if len(p.clients)%2 == 0 {
			done(nil, errors.New("refused"))
			return
		}
		done(p.flows[2], nil)
	}})
	return p
}

// playClient is the user of one client transaction.
type playClient struct {
	p      *play
	tx     *Client
	text   string
	flow   *testFlow
	final  int
	failed bool
}

func (c *playClient) Response(_ *Client, resp *sip.Message) {
	status := resp.StatusCode()
	switch again2xx := strings.HasPrefix(c.text, "INVITE") && c.final/100 == 2 && status/100 == 2; {
	case c.failed:
		c.p.t.Errorf("response %d after a failure", status)
	case c.final != 0 && !again2xx:
		c.p.t.Errorf("response %d after %d", status, c.final)
	case status >= 200:
		c.final = status
	}
}

func (c *playClient) Failed(_ *Client, err error) {
	if c.failed || c.final != 0 {
		c.p.t.Errorf("failed with %v after final response %d, or twice: %v", err, c.final, c.failed)
	}
	c.failed = true
}

func (p *play) Request(tx *Server, req *sip.Message, _ *Source) {
	if req.Method() == "ACK" || req.Method() == "CANCEL" {
		p.t.Errorf("the user gets an %s", req.Method())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	tx.Attach(req)
	p.servers = append(p.servers, tx)
}

func (p *play) Ack(*sip.Message, *Source)   {}
func (p *play) ServerFailed(*Server, error) {}
func (p *play) Cancel(tx *Server, _ *sip.Message) {
	if tx.Method() != "INVITE" || tx.Attached() == nil {
		p.t.Errorf("CANCEL of %s before Request", tx.Method())
	}
}

// respond has the user answer the i-th server transaction, marked with its number.
func (p *play) respond(i, status int) {
	tx := p.servers[i]
	req := tx.Attached().(*sip.Message)
	b := sip.AppendResponse(nil, req, status, "", tx.Tag(), sip.Line{Name: "X-Number", Value: fmt.Sprint(i)})
	tx.Respond(b, status)
}

// run plays what data says, in a synctest bubble.
func (p *play) run(data []byte) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	// Ends when stop is called.
	go func() { ended <- p.l.Run(ctx) }()
	next := func() int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b)
	}
	vias := []string{"a;branch=z9hG4bK1", "a;branch=z9hG4bK2", "b;branch=z9hG4bK1", "a", "a;branch=9"}
	methods := []string{"INVITE", "OPTIONS", "CANCEL", "ACK"}
	statuses := []int{100, 180, 200, 202, 302, 408, 486, 603}
	for len(data) > 0 {
		switch op := next(); op % 12 {
		default: // a request comes
			n := next()
			text := request(methods[op%12%4], vias[n%len(vias)])
			if n/32%2 == 1 {
				text = strings.Replace(text, "<sip:bob@example.com>\r\n", "<sip:bob@example.com>;tag=t\r\n", 1)
			}
			p.l.Receive(parse(p.t, text), source(p.flows[n/8%len(p.flows)]))
		case 4: // the user sends a request
			n := next()
			branch := NewBranch()
			c := &playClient{p: p, flow: p.flows[n/2%len(p.flows)], text: request(methods[n%2], "p;branch="+branch)}
			tx, err := p.l.Start([]byte(c.text), branch, methods[n%2], c.flow, c)
			if err == nil {
				c.tx = tx
				p.clients = append(p.clients, c)
			}
		case 5: // a response comes
			c, status := next(), statuses[next()%len(statuses)]
			if len(p.clients) > 0 {
				c := p.clients[c%len(p.clients)]
				p.l.Receive(parse(p.t, respond(p.t, c.text, status)), source(c.flow))
			}
		case 6: // the user answers
			if i, status := next(), statuses[next()%len(statuses)]; len(p.servers) > 0 {
				p.respond(i%len(p.servers), status)
			}
		case 7: // time passes
			n := next()
			time.Sleep(time.Duration(n*n) * time.Millisecond)
			synctest.Wait()
		case 9: // the user cancels
			if i := next(); len(p.clients) > 0 {
				p.clients[i%len(p.clients)].tx.Cancel()
			}
		case 10: // a connection closes, as far as the layer knows
			p.l.FlowClosed(uint64(next()%3), errors.New("closed"))
		case 11: // a flow breaks, or works again
			n := next()
			var err error
			if n/4%2 == 0 {
				err = errors.New("broken")
			}
			p.flows[n%len(p.flows)].fail(err)
		}
		synctest.Wait()
	}
	p.finish()
	stop()
	<-ended
}

// finish answers and cancels what is open, lets the clock of the synctest bubble run, and checks what was
// sent and what is left.
func (p *play) finish() {
	for _, f := range p.flows {
		f.fail(nil)
	}
	for i := range p.servers {
		p.respond(i, 500)
	}
	for _, c := range p.clients {
		c.tx.Cancel()
		p.l.Receive(parse(p.t, respond(p.t, c.text, 180)), source(c.flow))
	}
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	expectEmpty(p.t, p.l)
	if tick(p.l.clock.asleep.Load()) != never {
		p.t.Error("the clock waits for something")
	}
	for _, c := range p.clients {
		if c.final == 0 && !c.failed {
			p.t.Errorf("no end of %q", c.text)
		}
	}
	finals := map[string]map[int]bool{}
	for _, f := range p.flows {
		for _, text := range f.takeWhole() {
			m := parse(p.t, text)
			number, ok := m.Header("X-Number")
			if !ok || m.StatusCode() < 200 {
				continue
			}
			if finals[number] == nil {
				finals[number] = map[int]bool{}
			}
			finals[number][m.StatusCode()] = true
			cseq, _ := m.CSeq()
			if cseq.Method != "INVITE" && m.StatusCode() == 408 {
				p.t.Error("a 408 to a request other than INVITE: RFC 4320, Section 4.2")
			}
			for status := range finals[number] {
				if status != m.StatusCode() && (cseq.Method != "INVITE" || status/100 != 2 || m.StatusCode()/100 != 2) {
					p.t.Errorf("transaction %s gave %d and %d to the wire", number, status, m.StatusCode())
				}
			}
		}
	}
}
