package node

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transaction"
	"github.com/tandem-sip/tandem/transport"
)

// BenchmarkCall is what a call costs between the sockets, from wire.Message to Flow.Send: INVITE, ACK and BYE of a
// caller on UDP, and what another proxy at the far end of a TLS connection answers, 100, 180 and 200, and 200 to
// the BYE. Which connection carries a request is really asked, but nothing is sent.
//
// ns/op is what a call's seven messages take from Message on, and parse-ns/op what sip.Parse took before that. Allocations and
// B/op count both. With hot, calls come one after another and transactions end after 64 ms, so that
// everything is in the cache. With cold, 4,096 calls are under way at once, 32,000 ended less than 32 s ago, and
// before each message so much other memory is read that the nearer caches hold nothing of ours: that is
// how it is in a proxy that has 1,000 calls/s.
func BenchmarkCall(b *testing.B) {
	b.Run("hot", func(b *testing.B) {
		r := newRig(b, time.Millisecond)
		r.calls(1, 2000, nil)
		r.measure(b, 1, nil)
	})
	b.Run("cold", func(b *testing.B) {
		r := newRig(b, 500*time.Millisecond)
		r.calls(4096, 32000, nil)
		r.measure(b, 4096, make([]byte, 1<<20))
	})
	// With the memory for recent messages, which holds as many of these calls as come in half a minute: ever fewer.
	b.Run("kept", func(b *testing.B) {
		r := newRig(b, time.Millisecond)
		r.n.trace.Update(trace.Config{Memory: 4 << 20})
		r.calls(1, 2000, nil)
		r.measure(b, 1, nil)
	})
	// With somebody who follows all calls.
	b.Run("followed", func(b *testing.B) {
		r := newRig(b, time.Millisecond)
		f, err := r.n.trace.Follow(trace.Filter{})
		if err != nil {
			b.Fatal(err)
		}
		r.calls(1, 2000, nil)
		r.measure(b, 1, nil)
		f.Close()
	})
}

// measure plays b.N calls.
func (r *rig) measure(b *testing.B, window int, other []byte) {
	runtime.GC()
	r.handling, r.parsing = 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	r.calls(window, b.N, other)
	b.StopTimer()
	b.ReportMetric(float64(r.handling.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(r.parsing.Nanoseconds())/float64(b.N), "parse-ns/op")
}

// rig is a proxy whose messages come from the benchmark and go nowhere.
type rig struct {
	tb            testing.TB
	n             *Node
	caller, trunk transport.Source
	up, down      *mute // to the caller, over the trunk

	in                []byte // the message that comes next
	ongoing           []call
	next, done        int // numbers of calls
	handling, parsing time.Duration
	touched           byte
}

// mute is a flow that keeps the last message, and sends nothing.
type mute struct {
	*flow
	last []byte
}

func (m *mute) Send(b []byte) error {
	if bytes.HasPrefix(b, []byte("SIP/2.0 100 ")) {
		return nil // of a timer, on another goroutine
	}
	m.last = append(m.last[:0], b...)
	if m.node.watched() {
		if want := m.node.trace.Sent(b); want != 0 {
			m.flow.sent(b, time.Now(), want, false)
		}
	}
	return nil
}

// muteNetwork is the network of a Node, but for sending.
type muteNetwork struct {
	network
	down      *mute
	done      func(proxy.Flow, error) // of the latest Connect; there is one at a time
	connected func(proxy.Flow, error) // the method found, made once
}

func (m *muteNetwork) Connect(h proxy.Hop, done func(proxy.Flow, error)) {
	m.done = done
	m.network.Connect(h, m.connected)
}

func (m *muteNetwork) found(f proxy.Flow, err error) {
	if err != nil {
		m.done(nil, err)
		return
	}
	m.down.flow = f.(*flow)
	m.done(m.down, nil)
}

// newRig starts a proxy of a.example.com that sends everything over TLS to b.example.net.
func newRig(b *testing.B, t1 time.Duration) *rig {
	b.Helper()
	ca, at := siptest.NewCA(b), siptest.Loopback(b)
	far := siptest.NewPeer(b, siptest.PeerConfig{Name: "b.example.net", Cert: ca.Domain(b, "b.example.net")})
	far.Listen(sipaddr.TLS, 5061)
	dns := siptest.NewDNS(b, fmt.Sprintf("_sips._tcp.b.example.net. 3600 IN SRV 10 10 5061 b.example.net.\nb.example.net. 3600 IN A %s\n", far.Addr()))
	certFile, keyFile := ca.Domain(b, "a.example.com").WriteFiles(b)
	yaml := fmt.Sprintf(`listen: [udp://%[1]s:5060, tls://%[1]s:5061]
dns: [%[2]s]
trust: {ca: [%[3]s]}
domains: [{name: a.example.com, certificate: %[4]s, key: %[5]s}]
access: {relay_from: [127.0.0.0/8]}
peers: [{name: other, identities: [b.example.net], addresses: [%[6]s/32], reference_identity: b.example.net}]
routes: [{to: "sip:%[6]s:5061;transport=tls"}]
`, at, dns.Addr(), ca.WriteFile(b), certFile, keyFile, far.Addr())
	file := filepath.Join(b.TempDir(), "tandem.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		b.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		b.Fatal(err)
	}
	cfg.Timers.T1, cfg.Timers.T2 = t1, 8*t1
	n, err := New(cfg, Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := &rig{tb: b, n: n, up: &mute{}, down: &mute{}}
	u := &user{}
	n.layer = transaction.New(transaction.Config{
		User: u, Timers: timers(cfg), MaxTransactions: cfg.Limits.Transactions, Reconnect: n.reconnect, TimedOut: n.timedOut,
	})
	quiet := &muteNetwork{network: network{n}, down: r.down}
	quiet.connected = quiet.found
	n.core = proxy.New(proxy.Config{Rules: n.inForce.Load().rules(nil), Network: quiet, Transactions: n.layer})
	u.Core = n.core
	if err := n.Open(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	// Ends when the benchmark does.
	go func() { ended <- n.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	r.prepare(far.Addr())
	return r
}

// prepare opens the trunk and makes the sources that messages come from.
func (r *rig) prepare(far netip.Addr) {
	r.tb.Helper()
	found := make(chan proxy.Flow, 1)
	uri, err := sip.ParseURI("sip:b.example.net;transport=tls")
	if err != nil {
		r.tb.Fatal(err)
	}
	network{r.n}.Connect(proxy.Hop{
		To: sipaddr.Resolved{AddrPort: netip.AddrPortFrom(far, 5061), Transport: sipaddr.TLS}, URI: uri, LocalDomain: "a.example.com",
	}, func(f proxy.Flow, err error) {
		if err != nil {
			r.tb.Error(err)
		}
		found <- f
	})
	trunk, ok := (<-found).(*flow)
	if !ok {
		r.tb.FailNow()
	}
	if _, err := r.n.inForce.Load().finder.Resolve(context.Background(), uri); err != nil {
		r.tb.Fatal(err)
	}
	r.trunk = transport.Source{
		Flow: trunk.Flow, Remote: trunk.Remote(), Local: trunk.Local(), Transport: sipaddr.TLS, LocalDomain: trunk.LocalDomain(), User: trunk.User(),
	}
	remote := netip.MustParseAddrPort("127.0.0.21:5070")
	network{r.n}.Connect(proxy.Hop{To: sipaddr.Resolved{AddrPort: remote, Transport: sipaddr.UDP}}, func(f proxy.Flow, err error) {
		if err != nil {
			r.tb.Fatal(err)
		}
		r.up.flow = f.(*flow)
	})
	r.caller = transport.Source{Flow: r.up.Flow, Remote: remote, Local: r.up.Local(), Transport: sipaddr.UDP}
	r.caller.User = r.n.judged(transport.ConnInfo{Transport: sipaddr.UDP, Remote: remote, Local: r.up.Local()})
	r.n.source(&r.caller, r.caller.Flow).Flow = r.up // which messages from there share from now on
}

// call is one call under way: the number of the message that comes next, and what the agents remember.
type call struct {
	number, step int
	vias         []byte // of the forwarded request
	recorded     []byte // Record-Route of the forwarded INVITE
	routes       []byte // Route values of the caller
}

// calls plays so many calls to their ends, with the messages of so many others in between, and reads other
// memory before each message.
func (r *rig) calls(window, number int, other []byte) {
	if window != len(r.ongoing) {
		r.ongoing = make([]call, window)
		for i := range r.ongoing {
			// So that calls are at different points of their lives.
			r.ongoing[i] = call{number: r.begin()}
			for range i % 7 {
				r.step(&r.ongoing[i])
			}
		}
	}
	for end := r.done + number; r.done < end; {
		for i := 0; i < window && r.done < end; i++ {
			for j := 0; j < len(other); j += 64 {
				r.touched += other[j]
			}
			r.step(&r.ongoing[i])
		}
	}
}

func (r *rig) begin() int { r.next++; return r.next }

// step plays the next message of a call.
func (r *rig) step(c *call) {
	r.in = r.in[:0]
	switch c.step {
	case 0:
		r.request(c, "INVITE sip:bob@b.example.net", "INVITE", 1, "Contact: <sip:alice@127.0.0.21:5070;transport=udp>\r\n"+
			"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO\r\nSupported: replaces, timer, outbound\r\n"+
			"User-Agent: lab-caller/1.0\r\nContent-Type: application/sdp\r\n", sdp)
		r.receive(&r.caller)
		c.vias = lines(c.vias[:0], r.down.last, "Via: ")
		c.recorded = lines(c.recorded[:0], r.down.last, "Record-Route: ")
	case 1:
		r.response(c, "100 Trying", "INVITE", 1, false, "", "")
	case 2:
		r.response(c, "180 Ringing", "INVITE", 1, true, "Contact: <sip:bob@127.0.0.22:5070;transport=udp>\r\n", "")
	case 3:
		r.response(c, "200 OK", "INVITE", 1, true, "Contact: <sip:bob@127.0.0.22:5070;transport=udp>\r\n"+
			"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO\r\nContent-Type: application/sdp\r\n", sdp)
		r.in = lines(r.in[:0], r.up.last, "Record-Route: ")
		c.routes = reversed(c.routes[:0], r.in)
	case 4:
		r.request(c, "ACK sip:bob@127.0.0.22:5070;transport=udp", "ACK", 1, "", "")
		r.receive(&r.caller)
	case 5:
		r.request(c, "BYE sip:bob@127.0.0.22:5070;transport=udp", "BYE", 2, "User-Agent: lab-caller/1.0\r\n", "")
		r.receive(&r.caller)
		c.vias = lines(c.vias[:0], r.down.last, "Via: ")
	case 6:
		r.response(c, "200 OK", "BYE", 2, false, "", "")
		if !bytes.HasPrefix(r.up.last, []byte("SIP/2.0 200 ")) || !bytes.Contains(r.up.last, []byte("CSeq: 2 BYE")) {
			r.tb.Fatalf("the call ended with\n%s", r.up.last)
		}
		r.done++
		*c = call{number: r.begin(), vias: c.vias, recorded: c.recorded, routes: c.routes}
		return
	}
	c.step++
}

const sdp = "v=0\r\no=alice 2890844526 2890844526 IN IP4 127.0.0.21\r\ns=-\r\nc=IN IP4 127.0.0.21\r\nt=0 0\r\n" +
	"m=audio 49170 RTP/AVP 0 8 96 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 opus/48000/2\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n"

func (r *rig) write(parts ...string) {
	for _, p := range parts {
		r.in = append(r.in, p...)
	}
}

func (r *rig) decimal(n int) { r.in = strconv.AppendInt(r.in, int64(n), 10) }

// request writes a request of the caller.
func (r *rig) request(c *call, start, method string, seq int, more, body string) {
	r.write(start, " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.21:5070;branch=z9hG4bK-", method, "-")
	r.decimal(c.number)
	r.write(";rport\r\n")
	if c.step > 0 {
		r.in = append(r.in, c.routes...)
	}
	r.write("Max-Forwards: 70\r\n")
	r.dialog(c, method, seq, c.step > 0)
	r.write(more)
	r.end(body)
}

// response has the proxy get a response to its own request.
func (r *rig) response(c *call, status, method string, seq int, dialog bool, more, body string) {
	r.write("SIP/2.0 ", status, "\r\n")
	r.in = append(r.in, c.vias...)
	if dialog {
		r.write("Record-Route: <sip:127.0.0.12;lr;td=aaaaaaaaaaaaaaaaaaaaaaaaaa;ti=a.example.com;ts=any>\r\n" +
			"Record-Route: <sip:b.example.net;transport=tls;lr;td=aaaaaaaaaaaaaaaaaaaaaaaaaa;ti=a.example.com;ts=any>\r\n")
		r.in = append(r.in, c.recorded...)
	}
	r.dialog(c, method, seq, c.step != 1)
	r.write(more)
	r.end(body)
	r.up.last = r.up.last[:0]
	r.receive(&r.trunk)
}

// dialog writes From, To, Call-ID and CSeq.
func (r *rig) dialog(c *call, method string, seq int, toTag bool) {
	r.write("From: \"Alice Example\" <sip:alice@a.example.com>;tag=4711a")
	r.decimal(c.number)
	r.write("\r\nTo: <sip:bob@b.example.net>")
	if toTag {
		r.write(";tag=4712b")
		r.decimal(c.number)
	}
	r.write("\r\nCall-ID: ")
	r.decimal(c.number)
	r.write("-4711@127.0.0.21\r\nCSeq: ")
	r.decimal(seq)
	r.write(" ", method, "\r\n")
}

func (r *rig) end(body string) {
	r.write("Content-Length: ")
	r.decimal(len(body))
	r.write("\r\n\r\n", body)
}

// receive has the message in r.in come from a source, as it would from a socket.
func (r *rig) receive(src *transport.Source) {
	start := time.Now()
	m, err := sip.ParseBytes(r.in)
	if err != nil {
		r.tb.Fatalf("%v\n%s", err, r.in)
	}
	if m.IsRequest() {
		m.SetReceived(src.Remote.Addr(), src.Remote.Port())
	}
	read := time.Now()
	r.parsing += read.Sub(start)
	wire{r.n}.Message(m, src)
	r.handling += time.Since(read)
}

// lines appends the header field lines of a message that begin with a name, line ends included.
func lines(dst, message []byte, name string) []byte {
	for line := range bytes.Lines(message) {
		if len(line) == 2 {
			break
		}
		if bytes.HasPrefix(line, []byte(name)) {
			dst = append(dst, line...)
		}
	}
	return dst
}

// reversed appends Route lines with the values of Record-Route lines from the last to the first.
func reversed(dst, recorded []byte) []byte {
	for len(recorded) > 0 {
		i := bytes.LastIndexByte(recorded[:len(recorded)-1], '\n') + 1
		dst = append(append(dst, "Route: "...), recorded[i+len("Record-Route: "):]...)
		recorded = recorded[:i]
	}
	return dst
}
