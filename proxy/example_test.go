package proxy_test

import (
	"fmt"
	"strings"

	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// printer is a flow that prints the first line of what is sent over it.
type printer struct{ name string }

func (p printer) Send(b []byte) error {
	line, _, _ := strings.Cut(string(b), "\r\n")
	fmt.Printf("to the %s: %s\n", p.name, line)
	return nil
}
func (p printer) ID() uint64                   { return 1 }
func (p printer) Reliable() bool               { return true }
func (p printer) Transport() sipaddr.Transport { return sipaddr.TCP }
func (p printer) Identity() string             { return "" }
func (p printer) URI() string                  { return "sip:192.0.2.1:5060;transport=tcp" }
func (p printer) AppendVia(dst []byte, branch string) []byte {
	return append(append(dst, "SIP/2.0/TCP 192.0.2.1:5060;branch="...), branch...)
}

// oneAgent is a network in which every next hop is the same agent.
type oneAgent struct{}

func (oneAgent) Locate(_ *sip.URI, done func(resolve.Answer, error)) {
	a, err := sipaddr.ParseResolved("tcp:198.51.100.7:5060")
	done(resolve.Answer{Addresses: []sipaddr.Resolved{a}}, err)
}
func (oneAgent) Connect(_ proxy.Hop, done func(proxy.Flow, error)) { done(printer{"agent"}, nil) }
func (oneAgent) Reported(sipaddr.Resolved, bool)                   {}

// A Core and its transaction layer need each other: the layer's user embeds the Core and gets it last.
func Example() {
	user := &struct{ *proxy.Core }{}
	layer := transaction.New(transaction.Config{User: user})
	next, err := sip.ParseURI("sip:agents.example.com;transport=tcp")
	if err != nil {
		fmt.Println(err)
		return
	}
	user.Core = proxy.New(proxy.Config{
		Network:      oneAgent{},
		Transactions: layer,
		Rules: proxy.Rules{
			Served: []proxy.Domain{{Name: "example.com"}},
			Routes: []proxy.Route{{Domain: "example.com", To: []proxy.Target{{URI: next}}}},
		},
	})

	from, err := sipaddr.ParseResolved("tcp:203.0.113.9:40000")
	if err != nil {
		fmt.Println(err)
		return
	}
	src := &transaction.Source{Flow: printer{"caller"}, Remote: from}
	for _, to := range []string{"sip:bob@example.com", "sip:carol@example.net"} {
		m, err := sip.Parse("MESSAGE " + to + " SIP/2.0\r\nVia: SIP/2.0/TCP ua.example.net;branch=z9hG4bK" + to[4:7] + "\r\n" +
			"From: <sip:alice@example.net>;tag=1\r\nTo: <" + to + ">\r\nCall-ID: " + to[4:7] + "\r\nCSeq: 1 MESSAGE\r\n" +
			"Content-Length: 0\r\n\r\n")
		if err != nil {
			fmt.Println(err)
			return
		}
		layer.Receive(m, src)
	}
	// Output:
	// to the agent: MESSAGE sip:bob@example.com SIP/2.0
	// to the caller: SIP/2.0 403 Forbidden
}
