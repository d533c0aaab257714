package transport_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transport"
)

// polite answers every request with 200 and tells of the responses that come.
type polite struct{ answers chan int }

func (p polite) Message(m *sip.Message, src *transport.Source) {
	if m.IsRequest() {
		_ = src.Flow.Send(sip.AppendResponse(nil, m, 200, "OK", "tag"))
		return
	}
	p.answers <- m.StatusCode()
}

func (polite) Malformed(*sip.Message, error, *transport.Source) {}
func (polite) Closed(alias.ConnID, error)                       {}

// Two of them talk over TCP: the second request finds the connection of the first.
func Example() {
	loopback := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0)
	answers := make(chan int)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	var sides []*transport.Transport
	for range 2 {
		t, err := transport.New(transport.Config{
			Listen:  []transport.Listen{{Transport: sipaddr.TCP, Addr: loopback}},
			Handler: polite{answers},
		})
		if err != nil {
			panic(err)
		}
		if err := t.Open(); err != nil {
			panic(err)
		}
		// Ends when ctx is done.
		go func() { ended <- t.Run(ctx) }()
		sides = append(sides, t)
	}
	here, there := sides[0], sides[1].Addrs()[0]
	for i := range 2 {
		hop := transport.Hop{To: sipaddr.Resolved{AddrPort: there.Addr, Transport: there.Transport}}
		here.Flow(hop, func(f transport.Flow, _ alias.Decision, err error) {
			if err != nil {
				panic(err)
			}
			via := f.AppendVia(nil, fmt.Sprintf("z9hG4bK%d", i))
			_ = f.Send(fmt.Appendf(nil, "OPTIONS sip:there SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\n"+
				"From: <sip:here>;tag=1\r\nTo: <sip:there>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", via, i))
		})
		fmt.Println(<-answers)
	}
	fmt.Println("connections:", len(here.Connections()))
	cancel()
	<-ended
	<-ended
	// Output:
	// 200
	// 200
	// connections: 1
}
