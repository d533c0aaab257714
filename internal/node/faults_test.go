package node_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// faults has a test for each way in which connections and peers fail, by its id. Those that need a network of
// their own, or a load, are in faults_network_test.go.
var faults = map[string]func(*testing.T){
	"F01": closedAfterSending,
	"F02": resetInMessage,
	"F03": resetWhileManyWait,
	"F04": goneBeforeSending,
	"F05": goneBeforeCancelAndAck,
	"F08": neverReads,
	"F09": frozen,
	"F13": dataAfterAlert,
	"F14": endWithoutAlert,
	"F24": targetFails,
	"F33": otherConnection,
	"F34": bothOpenAtOnce,
	"F35": partnerIsSomebodyElse,
	"F36": certificateSwapped,
	"F40": corruptRecord,
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for id, run := range faults {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			run(t)
		})
	}
}

// soon is how long after the loss of a connection everything that waited for it has its final response.
var soon = aim(time.Second)

// endings are the ways in which a peer ends a connection, by whether it can still be answered over it.
var endings = []struct {
	name string
	end  func(*siptest.Conn)
	same bool
}{
	{"closes", (*siptest.Conn).Close, false},
	{"shuts down", (*siptest.Conn).CloseWrite, true},
	{"cuts", (*siptest.Conn).Cut, false},
	{"resets", (*siptest.Conn).Reset, false},
}

// closedAfterSending: the answer goes over the connection as long as it carries it, and else over a new one to
// the source address and the sent-by port: RFC 3261, Section 18.2.2.
func closedAfterSending(t *testing.T) {
	for _, tr := range []sipaddr.Transport{sipaddr.TLS, sipaddr.TCP} {
		for _, way := range endings {
			t.Run(tr.String()+" "+way.name, func(t *testing.T) {
				t.Parallel()
				s := newStand(t, plan{})
				if tr == sipaddr.TCP {
					s.far.Listen(tr, 5060)
				}
				conn := s.far.DialName(tr, s.p.at(tr), s.p.host)
				port := tr.DefaultPort()
				invite := conn.Request(sip.MethodInvite, "sip:alice@example.com").SetSentBy(fmt.Sprintf("p2.example.net:%d", port), "alias")
				conn.SendRequest(invite)
				way.end(conn)
				in := s.alice.ExpectRequest(sip.MethodInvite)
				eventually(t, "the proxy has seen the end", func() bool { return s.seen(conn) != "open" })
				for _, status := range []int{180, 486} {
					begin := time.Now()
					in.Reply(status)
					got := s.far.ExpectResponse(status)
					if d := time.Since(begin); d > soon {
						t.Errorf("%d came after %v", status, d)
					}
					if (got.Conn == conn) != way.same {
						t.Errorf("%d came over %v, the request went over %v", status, got.Conn, conn)
					}
					if status > 180 {
						ack := got.Conn
						if way.same {
							ack = s.far.DialName(tr, s.p.at(tr), s.p.host)
						}
						ack.SendRequest(invite.Ack(got))
					}
				}
				eventually(t, "the connection is gone, with its row", func() bool { return s.seen(conn) == "" })
			})
		}
	}
}

// seen is the state of a connection of the far side's as the proxy sees it, "" when it has none.
func (s *stand) seen(conn *siptest.Conn) string {
	for _, c := range s.p.Connections() {
		if c.Remote == conn.Local() && c.Local == conn.Remote() {
			return c.State.String()
		}
	}
	return ""
}

// resetInMessage: a part of a message is never acted upon, in either direction.
func resetInMessage(t *testing.T) {
	t.Run("request", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{})
		for _, share := range []int{10, 50, 99} {
			conn := s.dials(s.far)
			r := conn.Request(sip.MethodMessage, "sip:alice@example.com")
			r.Body = strings.Repeat("x", 2000)
			text := r.String()
			conn.Send(text[:len(text)*share/100])
			conn.Reset()
			eventually(t, "the connection is gone", func() bool { return s.seen(conn) == "" })
		}
		quiet(s.alice)
	})
	t.Run("response", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{})
		conn, _, in := s.invites()
		text := in.Response(486)
		in.Conn.Send(text[:len(text)-2])
		in.Conn.Reset()
		again := s.far.ExpectRequest(sip.MethodInvite)
		if again.Conn == in.Conn || again.Branch() != in.Branch() {
			t.Errorf("sent again with branch %s over %v, the first was %s over %v", again.Branch(), again.Conn, in.Branch(), in.Conn)
		}
		again.Reply(603)
		if got := s.alice.ExpectFinal(sip.MethodInvite); got.StatusCode() != 603 || got.Conn != conn {
			t.Errorf("alice got %d", got.StatusCode())
		}
	})
}

// resetWhileManyWait: each transaction is told. What nothing was answered to is sent again, and to the next
// target when the first one is gone; what rang is answered within a second.
func resetWhileManyWait(t *testing.T) {
	const n = 40
	for _, dead := range []bool{false, true} {
		t.Run(map[bool]string{false: "reset", true: "dead"}[dead], func(t *testing.T) {
			t.Parallel()
			s := newStand(t, plan{})
			held := siptest.NewPeer(t, siptest.PeerConfig{Name: "held", Cert: s.ca.Domain(t, "example.net")})
			held.Listen(sipaddr.TLS, 5061)
			s.inOrder(held.Addr(), s.far.Addr())
			conn := s.alice.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
			waiting := make(map[string]string) // method by Call-ID
			ringing := make(map[string]bool)
			var over *siptest.Conn
			for i := range n {
				method := sip.MethodMessage
				if i%4 != 0 {
					method = sip.MethodInvite
				}
				r := conn.SendRequest(conn.Request(method, "sip:bob@example.net"))
				got := held.Expect("the request", same(r.CallID, true))
				waiting[r.CallID] = method
				over = got.Conn
				if i%4 > 1 {
					got.Reply(100 + 80*(i%4-2)) // 100, 180
					ringing[r.CallID] = true
				}
			}
			eventually(t, "what rings is known to ring", func() bool {
				rang := 0
				for _, r := range s.alice.Received() {
					if r.Message != nil && !r.IsRequest() && r.StatusCode() == 180 {
						rang++
					}
				}
				return rang == n/4
			})
			if dead {
				held.StopListening(sipaddr.TLS)
			}
			begin := time.Now()
			over.Reset()
			next := held
			if dead {
				next = s.far
			}
			for id, method := range waiting {
				if ringing[id] {
					continue
				}
				got := next.Expect("the request again", same(id, true))
				if got.Conn == over || got.Method() != method {
					t.Fatalf("%s came over %v", got.Method(), got.Conn)
				}
				if method == sip.MethodInvite {
					got.Reply(486)
				} else if next == held {
					got.Reply(200) // far answers it by itself
				}
			}
			var slowest time.Duration
			for id, method := range waiting {
				got := s.alice.Expect("a final response", same(id, false))
				slowest = max(slowest, got.At.Sub(begin))
				want := 200
				switch {
				case ringing[id]:
					want = 500
				case method == sip.MethodInvite:
					want = 486
				}
				if got.StatusCode() != want {
					t.Errorf("%s (in progress %v) is answered %d, want %d", method, ringing[id], got.StatusCode(), want)
				}
			}
			if slowest > soon {
				t.Errorf("the last final response came after %v", slowest)
			}
			t.Logf("%d transactions, the last final response after %v", n, slowest)
		})
	}
}

// inOrder makes the DNS name servers of example.net, the first one first.
func (s *stand) inOrder(addrs ...netip.Addr) {
	s.zone.Reset()
	s.record(`example.net. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.example.net.`)
	for i, a := range addrs {
		s.record(
			fmt.Sprintf(`_sips._tcp.example.net. 60 IN SRV %d 10 5061 h%d.example.net.`, 10+i, i),
			fmt.Sprintf(`h%d.example.net. 60 IN A %s`, i, a),
		)
	}
}

// goneBeforeSending: RFC 5923, Section 8.1 and RFC 5923, Section 8.2.
func goneBeforeSending(t *testing.T) {
	for _, way := range endings {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, plan{})
			conn := s.offered("p2.example.net")
			for range 3 {
				way.end(conn)
				if way.same {
					eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
				}
				// Known to be gone or not, what is sent next arrives.
				begin := time.Now()
				r := s.asks("sip:bob@example.net")
				if got := s.alice.Expect("the answer", same(r.CallID, false)); got.StatusCode() != 200 {
					t.Fatalf("answered %d", got.StatusCode())
				}
				if d := time.Since(begin); d > soon {
					t.Errorf("answered after %v", d)
				}
				eventually(t, "one row, of another connection", func() bool {
					rows := s.p.rows()
					return len(rows) == 1 && rows[0].Resolved == s.resolved(s.far, 5061)
				})
				for _, c := range s.far.Conns() {
					if !c.Closed() && c != conn {
						conn = c
					}
				}
			}
		})
	}
}

func goneBeforeCancelAndAck(t *testing.T) {
	t.Run("CANCEL", func(t *testing.T) { t.Parallel(); cancelAfterClose(t) })
	t.Run("ACK", func(t *testing.T) { t.Parallel(); ackAfterClose(t) })
}

// secure is a TLS connection to the proxy whose socket the test has in its own hands. The proxy's certificate is not
// verified: other tests do.
func (s *stand) secure(cert *siptest.Cert) (*tls.Conn, *net.TCPConn) {
	s.t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.far.Addr(), 0)), Timeout: 5 * time.Second}
	socket, err := d.Dial("tcp", s.p.at(sipaddr.TLS).String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = socket.Close() })
	c := tls.Client(socket, &tls.Config{InsecureSkipVerify: true, ServerName: s.p.host, Certificates: []tls.Certificate{cert.TLS()}})
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if err := c.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	return c, socket.(*net.TCPConn)
}

// aliasOffer is an OPTIONS for the proxy that offers an alias for far.
func (s *stand) aliasOffer(sentBy string) string {
	v := "SIP/2.0/TLS " + sentBy + ";alias;branch=z9hG4bK" + siptest.Token(12)
	return "OPTIONS sip:p1.example.com SIP/2.0\r\nVia: " + v + "\r\nMax-Forwards: 70\r\nFrom: <sip:b@example.net>;tag=1\r\n" +
		"To: <sip:p1.example.com>\r\nCall-ID: " + siptest.Token(12) + "\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
}

// dataAfterAlert: after the peer's closure alert nothing starts on the connection, whatever else comes, and what
// comes has no effect (RFC 5923, Section 8.3).
func dataAfterAlert(t *testing.T) {
	s := newStand(t, plan{})
	c, socket := s.secure(s.ca.Domain(t, "example.net", "p2.example.net"))
	if _, err := io.WriteString(c, s.aliasOffer("p2.example.net")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "SIP/2.0 200") {
		t.Fatalf("OPTIONS is answered %q, %v", buf[:n], err)
	}
	s.row()
	before := s.p.Stats().Transport.MessagesIn
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// Records behind the alert: well formed, and made of nothing.
	junk := append([]byte{23, 3, 3, 0, 64}, make([]byte, 64)...)
	for range 20 {
		if _, err := socket.Write(junk); err != nil {
			break // the proxy may have closed it already
		}
	}
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	s.sends("sip:bob@example.net", s.far)
	if got := s.far.Conns(); len(got) != 1 || !got[0].Accepted() {
		t.Errorf("the request went over %v", got)
	}
	_ = socket.CloseWrite()
	rest, err := io.ReadAll(c)
	if len(rest) > 0 || err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("after the alert came %q, %v", rest, err)
	}
	if n := s.p.Stats().Transport.MessagesIn - before; n != 2 { // alice's request and its answer
		t.Errorf("%d messages were taken in, want 2", n)
	}
	eventually(t, "the connection is gone", func() bool { return len(s.p.tlsConns()) == 1 })
}

// endWithoutAlert: a FIN that no closure alert announced may have been made by anybody. Part of a message is
// discarded, it is counted, and the session is not resumed.
func endWithoutAlert(t *testing.T) {
	t.Run("accepted", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{})
		c, socket := s.secure(s.ca.Domain(t, "example.net", "p2.example.net"))
		text := strings.Replace(s.aliasOffer("p2.example.net"), "sip:p1.example.com", "sip:alice@example.com", 1)
		if _, err := io.WriteString(c, text[:len(text)-2]); err != nil {
			t.Fatal(err)
		}
		_ = socket.CloseWrite()
		eventually(t, "it is counted, and gone", func() bool {
			return s.p.Stats().Transport.Truncated == 1 && len(s.p.tlsConns()) == 0
		})
		quiet(s.alice)
		s.noRows()
	})
	t.Run("dialed", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{tls: func(c *tls.Config) { c.SetSessionTicketKeys([][32]byte{{1}}) }})
		conn := s.sends("sip:bob@example.net", s.far).Conn
		conn.Cut()
		eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
		again := s.sends("sip:bob@example.net", s.far).Conn
		if again.TLS().DidResume {
			t.Error("the session of a connection that was cut off was resumed")
		}
		if n := s.p.Stats().Transport.Truncated; n != 1 {
			t.Errorf("%d connections are counted as truncated", n)
		}
	})
}

// otherConnection: a response counts by its transaction, and by who sends it, whatever connection it comes over.
func otherConnection(t *testing.T) {
	s := newStand(t, plan{})
	conn, invite, in := s.invites()
	evil := siptest.NewPeer(t, siptest.PeerConfig{Name: "evil", Cert: s.ca.Domain(t, "evil.example")})
	bad := s.dials(evil)
	bad.Send(in.Response(200))
	plain := s.far.Dial(sipaddr.TCP, s.p.at(sipaddr.TCP))
	plain.Send(in.Response(200))
	eventually(t, "both are dropped", func() bool {
		st := s.p.Stats()
		return st.Transactions.Foreign+st.Transactions.Stray+st.Transport.StrayResponses == 2
	})
	s.alice.ExpectSilence(20*time.Millisecond, same(invite.CallID, false))
	other := s.dials(s.far)
	other.Send(in.Response(180))
	in.Conn.Send(in.Response(183))
	s.alice.ExpectResponse(180)
	s.alice.ExpectResponse(183)
	other.Send(in.Response(486))
	got := s.alice.ExpectFinal(sip.MethodInvite)
	in.Conn.Send(in.Response(200)) // too late: another final response was first
	if got.StatusCode() != 486 {
		t.Errorf("alice got %d", got.StatusCode())
	}
	conn.SendRequest(invite.Ack(got))
	s.alice.ExpectSilence(20*time.Millisecond, same(invite.CallID, false))
}
