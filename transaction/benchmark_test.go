package transaction

import (
	"strconv"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// nullFlow takes everything.
type nullFlow struct {
	id        uint64
	transport sipaddr.Transport
}

func (f *nullFlow) Send([]byte) error            { return nil }
func (f *nullFlow) ID() uint64                   { return f.id }
func (f *nullFlow) Reliable() bool               { return f.transport.Reliable() }
func (f *nullFlow) Transport() sipaddr.Transport { return f.transport }
func (f *nullFlow) Identity() string             { return "" }

// nullUser remembers the last server transaction.
type nullUser struct{ tx *Server }

func (u *nullUser) Request(tx *Server, _ *sip.Message, _ *Source) { u.tx = tx }
func (u *nullUser) Ack(*sip.Message, *Source)                     {}
func (u *nullUser) Cancel(*Server, *sip.Message)                  {}
func (u *nullUser) ServerFailed(*Server, error)                   {}
func (u *nullUser) Response(*Client, *sip.Message)                {}
func (u *nullUser) Failed(*Client, error)                         {}

// life plays one proxied transaction, n being its number: request in, request out, response in, response
// out. What parsing costs is in it, since a message is parsed once.
func life(b *testing.B, l *Layer, u *nullUser, src *Source, out Flow, method string, n int) {
	in := request(method, "pc.example.org;branch=z9hG4bK"+strconv.Itoa(n))
	req, err := sip.Parse(in)
	if err != nil {
		b.Fatal(err)
	}
	l.Receive(req, src)
	branch := "z9hG4bKp" + strconv.Itoa(n)
	sent := benchSent[method]
	if _, err := l.Start(sent, branch, method, out, u); err != nil {
		b.Fatal(err)
	}
	resp, err := sip.Parse(strings.Replace(benchResponse[method], "@branch@", branch, 1))
	if err != nil {
		b.Fatal(err)
	}
	l.Receive(resp, &Source{Flow: out})
	if err := u.tx.Respond(sent, resp.StatusCode()); err != nil {
		b.Fatal(err)
	}
	if method == "INVITE" { // refused: the ACK ends it
		ack, err := sip.Parse(strings.Replace(in, "INVITE", "ACK", 2))
		if err != nil {
			b.Fatal(err)
		}
		l.Receive(ack, src)
	}
}

var benchSent = map[string][]byte{}
var benchResponse = map[string]string{}

func init() {
	for method, status := range map[string]int{"INVITE": 486, "OPTIONS": 200} {
		text := request(method, "p.example.net;branch=@branch@")
		m, _ := sip.Parse(text)
		benchSent[method] = []byte(text)
		benchResponse[method] = string(sip.AppendResponse(nil, m, status, "", "b1"))
	}
}

// BenchmarkLife is the life of a transaction at a proxy, both sides, over connections.
func BenchmarkLife(b *testing.B) {
	for _, method := range []string{"OPTIONS", "INVITE"} {
		b.Run(method, func(b *testing.B) {
			u := &nullUser{}
			l := New(Config{User: u})
			src := &Source{Flow: &nullFlow{id: 1, transport: sipaddr.TLS}}
			out := &nullFlow{id: 2, transport: sipaddr.TLS}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				life(b, l, u, src, out, method, n)
			}
			if live := l.Stats().Live; live != [4]int{} {
				b.Fatalf("transactions left: %v", live)
			}
		})
	}
}

// BenchmarkLayer is the same without parsing and writing messages: what this room costs.
func BenchmarkLayer(b *testing.B) {
	u := &nullUser{}
	l := New(Config{User: u})
	flow := &nullFlow{id: 1, transport: sipaddr.TLS}
	src := &Source{Flow: flow}
	req, _ := sip.Parse(request("OPTIONS", "pc.example.org;branch="+testBranch))
	resp, _ := sip.Parse(strings.Replace(benchResponse["OPTIONS"], "@branch@", testBranch, 1))
	b.ReportAllocs()
	for b.Loop() {
		l.Receive(req, src)
		if _, err := l.Start(benchSent["OPTIONS"], testBranch, "OPTIONS", flow, u); err != nil {
			b.Fatal(err)
		}
		l.Receive(resp, src)
		if err := u.tx.Respond(benchSent["OPTIONS"], 200); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRetransmission is a request that is known already, which is parsed first.
func BenchmarkRetransmission(b *testing.B) {
	l := New(Config{User: &nullUser{}})
	src := &Source{Flow: &nullFlow{transport: sipaddr.UDP}}
	text := request("OPTIONS", "pc.example.org;branch="+testBranch)
	req, _ := sip.Parse(text)
	l.Receive(req, src)
	b.ReportAllocs()
	for b.Loop() {
		req, _ := sip.Parse(text)
		l.Receive(req, src)
	}
}

func BenchmarkNewBranch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewBranch()
	}
}
