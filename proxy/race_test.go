package proxy

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// TestManyGoroutines has the branches of forks answer, the clients cancel and the connections break all at once.
// Each INVITE ends in one final response, or in 2xx, which may come after it, but nothing comes after a 2xx.
func TestManyGoroutines(t *testing.T) {
	for seed := range uint64(40) {
		run(t, Config{Rules: forkRules("", "", "0.5")}, func(b *bench) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			b.hold = rnd.IntN(2) == 0
			c := b.stranger()
			invite := c.request("INVITE", "sip:bob@example.com")
			c.send(invite)
			if b.hold {
				b.release()
			}
			statuses := []int{180, 183, 200, 200, 404, 486, 503, 603}
			var wg sync.WaitGroup
			for range 3 {
				for i := range 3 {
					b.mu.Lock()
					f := b.flows[forkAddrs[i]]
					b.mu.Unlock()
					if f == nil {
						continue
					}
					for _, req := range f.take(t, 0) {
						if req.Method() != "INVITE" {
							continue
						}
						first, second := statuses[rnd.IntN(len(statuses))], statuses[rnd.IntN(len(statuses))]
						wg.Go(func() {
							for _, s := range []int{first, second, 487} {
								m, _ := sip.Parse(string(sip.AppendResponse(nil, req, s, "", "b1")))
								b.layer.Receive(m, &transaction.Source{Flow: f, Remote: f.to})
							}
						})
					}
				}
				if rnd.IntN(3) == 0 {
					wg.Go(func() {
						m, _ := sip.Parse(invite)
						cancel, _ := sip.Parse(string(sip.AppendCancel(nil, m)))
						b.layer.Receive(cancel, c.src)
					})
				}
				wg.Wait()
				synctest.Wait()
			}
			timer := time.NewTimer(10 * time.Minute)
			<-timer.C
			synctest.Wait()
			good, bad := 0, map[string]bool{}
			for _, m := range c.got() {
				cseq, _ := m.CSeq()
				switch s := m.StatusCode(); {
				case s < 200 || cseq.Method != "INVITE":
				case s < 300:
					good++
				default:
					bad[m.Raw()] = true
					if good > 0 {
						t.Errorf("seed %d: %d after a success", seed, s)
					}
				}
			}
			if good == 0 && len(bad) != 1 || len(bad) > 1 {
				t.Errorf("seed %d: %d successes and %d different failures", seed, good, len(bad))
			}
			if n := b.core.Stats().Active; n != 0 {
				t.Errorf("seed %d: %d contexts are left", seed, n)
			}
		})
	}
}

// eager is a flow whose far side answers before Send has returned.
type eager struct {
	nullFlow
	layer *transaction.Layer
	wg    sync.WaitGroup
}

func (f *eager) Send(p []byte) error {
	text := string(p)
	ready := make(chan struct{})
	f.wg.Go(func() {
		close(ready)
		req, err := sip.Parse(text)
		if err != nil || req.Method() != "INVITE" {
			return
		}
		for _, status := range []int{100, 180, 200, 200} {
			resp, _ := sip.Parse(string(sip.AppendResponse(nil, req, status, "", "b1", sip.Line{Name: "Contact", Value: "<sip:b@h.example>"})))
			f.layer.Receive(resp, &transaction.Source{Flow: f, Remote: f.to})
		}
	})
	<-ready
	return nil
}

type eagerNetwork struct {
	benchNetwork
	far *eager
}

func (n *eagerNetwork) Connect(_ Hop, done func(Flow, error)) { done(n.far, nil) }

// TestAnswerBeforeSendReturns: the answer overtakes the goroutine that sends.
func TestAnswerBeforeSendReturns(t *testing.T) {
	user := &lateUser{}
	layer := transaction.New(transaction.Config{User: user})
	net := &eagerNetwork{far: &eager{nullFlow: nullFlow{to: resolved("tcp:198.51.100.7:5070")}, layer: layer}}
	net.flow = &net.far.nullFlow
	user.Core = New(Config{Network: net, Transactions: layer, Rules: testRules()})
	b := &bench{t: t, core: user.Core, layer: layer}
	c := b.stranger()
	const calls = 500
	for range calls {
		m, err := sip.Parse(c.request("INVITE", "sip:bob@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		layer.Receive(m, c.src)
	}
	net.far.wg.Wait()
	good := 0
	for _, m := range c.got() {
		if m.StatusCode() == 200 {
			good++
		}
	}
	if good != 2*calls || user.Stats().Active != 0 {
		t.Errorf("%d answers to %d calls, %d left", good, calls, user.Stats().Active)
	}
}

// BenchmarkForward measures one request through the layer and the core and its response back.
func BenchmarkForward(b *testing.B) {
	user := &lateUser{}
	layer := transaction.New(transaction.Config{User: user})
	net := &benchNetwork{}
	user.Core = New(Config{Network: net, Transactions: layer, Rules: testRules("sip:198.51.100.7:5070;transport=tcp")})
	net.flow = &nullFlow{to: resolved("tcp:198.51.100.7:5070")}
	src := &transaction.Source{Flow: &nullFlow{to: resolved("tcp:203.0.113.9:40000")}, Remote: resolved("tcp:203.0.113.9:40000"), Any: &Source{}}
	head := "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP ua.example.net:5090;branch=z9hG4bK"
	tail := "\r\nMax-Forwards: 70\r\nFrom: Alice <sip:alice@example.net>;tag=a1\r\nTo: Bob <sip:bob@example.com>\r\nCall-ID: call@example.net\r\n" +
		"CSeq: 1 MESSAGE\r\nContact: <sip:alice@198.51.100.20:5090>\r\nContent-Length: 0\r\n\r\n"
	b.ReportAllocs()
	for b.Loop() {
		m, err := sip.Parse(head + transaction.NewBranch() + tail)
		if err != nil {
			b.Fatal(err)
		}
		m.SetReceived(src.Remote.Addr(), src.Remote.Port())
		layer.Receive(m, src)
		req, err := sip.Parse(net.flow.last)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := sip.Parse(string(sip.AppendResponse(nil, req, 200, "", "b1")))
		if err != nil {
			b.Fatal(err)
		}
		layer.Receive(resp, &transaction.Source{Flow: net.flow, Remote: net.flow.to})
	}
}

// nullFlow keeps the last message alone.
type nullFlow struct {
	to   sipaddr.Resolved
	last string
}

func (f *nullFlow) Send(p []byte) error          { f.last = string(p); return nil }
func (f *nullFlow) ID() uint64                   { return 7 }
func (f *nullFlow) Reliable() bool               { return true }
func (f *nullFlow) Transport() sipaddr.Transport { return f.to.Transport }
func (f *nullFlow) Identity() string             { return "" }
func (f *nullFlow) URI() string                  { return "sip:192.0.2.1:5060;transport=tcp" }
func (f *nullFlow) AppendVia(dst []byte, branch string) []byte {
	return append(append(dst, "SIP/2.0/TCP 192.0.2.1:5060;branch="...), branch...)
}

// benchNetwork has one flow for everything.
type benchNetwork struct{ flow *nullFlow }

func (n *benchNetwork) Locate(u *sip.URI, done func(resolve.Answer, error)) {
	done(resolve.Answer{Addresses: []sipaddr.Resolved{n.flow.to}}, nil)
}
func (n *benchNetwork) Connect(_ Hop, done func(Flow, error)) { done(n.flow, nil) }
func (n *benchNetwork) Reported(sipaddr.Resolved, bool)       {}
