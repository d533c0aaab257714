package node_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// trunk is a proxy of near.test with alice behind it, and a carrier as they are in the field: its certificate
// names carrier.example, and its Contact and Record-Route name its IP address.
type trunk struct {
	*bench
	p     *proxy
	yaml  string
	alice *siptest.Peer
	far   *siptest.Peer
}

// newTrunk starts a proxy that has the carrier among its peers with further keys; "-" leaves the peer out.
func newTrunk(t *testing.T, keys string) *trunk {
	t.Helper()
	k := &trunk{bench: newBench(t)}
	k.alice = k.agent("alice", nil)
	k.far = k.carrier("carrier.example", netip.Addr{})
	k.names("carrier.example", "carrier.example", k.far.Addr(), 5061)
	cert, key := k.ca.Domain(t, "near.test", "p1.near.test").WriteFiles(t)
	dialogKey := filepath.Join(t.TempDir(), "dialog.key")
	if err := os.WriteFile(dialogKey, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := siptest.Loopback(t)
	var y strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%[1]s:5060, tls://%[1]s:5061]\ndns: [%s]\ntrust: {ca: [%s]}\n", addr, k.dns.Addr(), k.ca.WriteFile(t))
	fmt.Fprintf(&y, "domains: [{name: near.test, certificate: %s, key: %s, sent_by: p1.near.test}]\n", cert, key)
	fmt.Fprintf(&y, "access: {relay_from: [%s], dialog_key_file: %s}\n", k.alice.Addr(), dialogKey)
	if keys != "-" {
		fmt.Fprintf(&y, "peers: [{name: carrier, identities: [carrier.example]%s}]\n", strings.ReplaceAll(keys, "ADDRESS", k.far.Addr().String()))
	}
	fmt.Fprintf(&y, "routes: [{match: {domain: near.test}, to: \"sip:%s:5060\"}]\n", k.alice.Addr())
	k.yaml = y.String()
	k.p = k.run(k.yaml)
	k.p.addr, k.p.host = addr, "p1.near.test"
	return k
}

// carrier makes a carrier's server at an address, or at one of its own.
func (k *trunk) carrier(name string, at netip.Addr) *siptest.Peer {
	far := siptest.NewPeer(k.t, siptest.PeerConfig{Name: name, Addr: at, Cert: k.ca.Domain(k.t, name)})
	far.Listen(sipaddr.TLS, 5061)
	return far
}

// restart ends the proxy, and starts one that knows what stands in the files and nothing else.
func (k *trunk) restart() {
	k.t.Helper()
	k.p.stop()
	again := k.run(k.yaml)
	k.p.Node, k.p.stop = again.Node, again.stop
}

// leg is alice's side of a call: how she makes further requests in its dialog.
type leg func(method string) *siptest.Request

// out has alice call the carrier, which record-routes by its address if told so. It gives the connection that the
// call went over.
func (k *trunk) out(recordRoutes bool) (leg, *siptest.Conn) {
	k.t.Helper()
	conn := k.alice.Dial(sipaddr.UDP, k.p.at(sipaddr.UDP))
	invite := conn.SendRequest(conn.Request(sip.MethodInvite, "sip:bob@carrier.example"))
	got := k.far.ExpectRequest(sip.MethodInvite)
	answer := got.Response(200)
	if recordRoutes {
		own := fmt.Sprintf("Record-Route: <sip:%s:5061;transport=tls;lr>\r\nRecord-Route:", k.far.Addr())
		answer = strings.Replace(answer, "Record-Route:", own, 1)
	}
	got.Conn.Send(answer)
	ok := k.alice.ExpectFinal(sip.MethodInvite)
	if ok.StatusCode() != 200 {
		k.t.Fatalf("the call is answered %d (%s)", ok.StatusCode(), warning(ok))
	}
	cseq := invite.CSeq
	return func(method string) *siptest.Request {
		r := invite.InDialog(method, ok)
		cseq++
		r.CSeq = cseq
		return r
	}, got.Conn
}

// in has the carrier call alice over a connection that it opens, on which it offers an alias.
func (k *trunk) in() (leg, *siptest.Conn) {
	k.t.Helper()
	conn := k.far.DialName(sipaddr.TLS, k.p.at(sipaddr.TLS), k.p.host)
	invite := conn.Request(sip.MethodInvite, "sip:alice@near.test")
	invite.SetSentBy("carrier.example", "alias")
	conn.SendRequest(invite)
	got := k.alice.ExpectRequest(sip.MethodInvite)
	got.Reply(200)
	k.far.ExpectFinal(sip.MethodInvite)
	cseq := 100
	return func(method string) *siptest.Request {
		r := got.InDialog(method, k.alice.Dial(sipaddr.UDP, k.p.at(sipaddr.UDP)))
		cseq++
		r.CSeq = cseq
		return r
	}, conn
}

// arrives has alice send a request of a dialog, which has to come to the carrier and to be answered. It gives the
// connection that it came over.
func (k *trunk) arrives(r *siptest.Request, at *siptest.Peer) *siptest.Conn {
	k.t.Helper()
	k.alice.Dial(sipaddr.UDP, k.p.at(sipaddr.UDP)).SendRequest(r)
	got := at.Expect("alice's "+r.Method, func(g *siptest.Received) bool {
		return same(r.CallID, true)(g) && g.Method() == r.Method
	})
	got.Reply(200)
	if final := k.alice.ExpectFinal(r.Method); final.StatusCode() != 200 {
		k.t.Fatalf("alice's %s is answered %d (%s)", r.Method, final.StatusCode(), warning(final))
	}
	return got.Conn
}

// acks has alice send an ACK of a dialog, which has to come to the carrier.
func (k *trunk) acks(r *siptest.Request) {
	k.t.Helper()
	k.alice.Dial(sipaddr.UDP, k.p.at(sipaddr.UDP)).SendRequest(r)
	k.far.Expect("alice's ACK", func(g *siptest.Received) bool { return same(r.CallID, true)(g) && g.Method() == sip.MethodAck })
}

// refused has alice send a request of a dialog that must not be sent to anybody.
func (k *trunk) refused(r *siptest.Request, at ...*siptest.Peer) {
	k.t.Helper()
	k.alice.Dial(sipaddr.UDP, k.p.at(sipaddr.UDP)).SendRequest(r)
	if final := k.alice.ExpectFinal(r.Method); final.StatusCode() != 503 || warning(final) == "" {
		k.t.Errorf("alice's %s is answered %d (%s), want 503", r.Method, final.StatusCode(), warning(final))
	}
	for _, p := range at {
		for _, got := range p.Received() {
			if same(r.CallID, true)(got) && got.Method() == r.Method {
				k.t.Errorf("%s came over %v", r.Method, got.Conn)
			}
		}
	}
}

// decided checks how often the connections were chosen for a reason.
func (k *trunk) decided(reason alias.Reason, want uint64) {
	k.t.Helper()
	if got := k.p.Decisions(); got[reason] != want {
		k.t.Errorf("%v: %d times, want %d: %v", reason, got[reason], want, got)
	}
}

// TestTrunkByReference: a peer's configured name authenticates its IP addresses.
func TestTrunkByReference(t *testing.T) {
	t.Parallel()
	for name, recordRoutes := range map[string]bool{"contact": false, "record-route": true} {
		t.Run("out-"+name, func(t *testing.T) {
			k := newTrunk(t, ", addresses: [ADDRESS], reference_identity: carrier.example")
			request, conn := k.out(recordRoutes)
			k.acks(request(sip.MethodAck))
			for _, m := range []string{sip.MethodInvite, sip.MethodBye} {
				if got := k.arrives(request(m), k.far); got != conn {
					t.Errorf("%s came over %v, want %v", m, got, conn)
				}
			}
			k.decided(alias.ReuseByConfiguredReference, 3)
			if n := k.p.Stats().Transport.HandshakesClient; n != 1 {
				t.Errorf("the carrier was dialed %d times", n)
			}
		})
	}
	t.Run("in", func(t *testing.T) {
		k := newTrunk(t, ", addresses: [ADDRESS], reference_identity: carrier.example")
		request, conn := k.in()
		for _, m := range []string{sip.MethodInvite, sip.MethodBye} {
			if got := k.arrives(request(m), k.far); got != conn {
				t.Errorf("%s came over %v, want %v", m, got, conn)
			}
		}
		k.decided(alias.ReuseByConfiguredReference, 2)
		if n := k.p.Stats().Transport.HandshakesClient; n != 0 {
			t.Errorf("the carrier was dialed %d times", n)
		}
	})
	t.Run("outside of any dialog", func(t *testing.T) {
		k := newTrunk(t, ", addresses: [ADDRESS], reference_identity: carrier.example")
		conn := k.alice.Dial(sipaddr.UDP, k.p.at(sipaddr.UDP))
		k.arrives(conn.Request(sip.MethodMessage, fmt.Sprintf("sip:bob@%s:5061;transport=tls", k.far.Addr())), k.far)
	})
	t.Run("impostor", func(t *testing.T) {
		k := newTrunk(t, ", addresses: [ADDRESS], reference_identity: carrier.example")
		request, _ := k.out(false)
		k.p.stop() // closes the connection as well
		k.far.Close()
		impostor := k.carrier("impostor.example", k.far.Addr())
		k.restart()
		k.refused(request(sip.MethodBye), impostor)
	})
}

// TestTrunkByDialog: inside a dialog an IP address is authenticated by what the peer proved when the dialog was
// made, also by a proxy that has been started since.
func TestTrunkByDialog(t *testing.T) {
	// The name that is configured for a peer's addresses says that it may be believed by name, too.
	for _, keys := range []string{", dialog_identity: inherit", ", reference_identity: carrier.example"} {
		calls := map[string]func(*trunk) (leg, *siptest.Conn){
			"out-contact":      func(k *trunk) (leg, *siptest.Conn) { return k.out(false) },
			"out-record-route": func(k *trunk) (leg, *siptest.Conn) { return k.out(true) },
			"in":               (*trunk).in,
		}
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k := newTrunk(t, keys)
				request, conn := call(k)
				for _, m := range []string{sip.MethodInvite, "INFO"} {
					if got := k.arrives(request(m), k.far); got != conn {
						t.Errorf("%s came over %v, want %v", m, got, conn)
					}
				}
				k.acks(request(sip.MethodAck))
				k.decided(alias.ReuseByDialog, 3)
				k.restart()
				if got := k.arrives(request("INFO"), k.far); got == conn || !got.Accepted() {
					t.Errorf("INFO came over %v after the restart", got)
				}
				k.arrives(request(sip.MethodBye), k.far)
				k.decided(alias.NoRow, 1)
				k.decided(alias.ReuseByDialog, 1)
			})
		}
	}
}

// TestTrunkWithSeveralNames: a peer is known by one of its names, whichever the call went by.
func TestTrunkWithSeveralNames(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*trunk) (leg, *siptest.Conn){
		"out": func(k *trunk) (leg, *siptest.Conn) { return k.out(false) },
		"in":  (*trunk).in,
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			k := newTrunk(t, "-")
			k.far.Close()
			far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Addr: k.far.Addr(),
				Cert: k.ca.Domain(t, "a.example", "carrier.example", "known.example")})
			far.Listen(sipaddr.TLS, 5061)
			k.far = far
			k.yaml += "peers: [{name: carrier, identities: [known.example], dialog_identity: inherit}]\n"
			k.restart()
			request, conn := call(k)
			if got := k.arrives(request("INFO"), k.far); got != conn {
				t.Errorf("INFO came over %v, want %v", got, conn)
			}
			k.restart()
			k.arrives(request(sip.MethodBye), k.far)
		})
	}
}

// TestTrunkIsStrict: without configuration nothing is authenticated by another name than that of the URI.
func TestTrunkIsStrict(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{"-", "", ", dialog_identity: strict", ", addresses: [ADDRESS]"} {
		k := newTrunk(t, keys)
		request, _ := k.out(false)
		k.refused(request(sip.MethodBye), k.far)
		k.decided(alias.NoReference, 1)
		k.decided(alias.ReuseByDialog, 0)
	}
}

// TestTrunkIsSigned: nobody but this proxy says what was proved in a dialog, and of which.
func TestTrunkIsSigned(t *testing.T) {
	t.Parallel()
	k := newTrunk(t, ", dialog_identity: inherit")
	other := k.carrier("other.example", netip.Addr{})
	request, _ := k.out(false)
	for name, change := range map[string]func(*siptest.Request){
		"another address":  func(r *siptest.Request) { r.URI = fmt.Sprintf("sip:bob@%s:5061;transport=tls", other.Addr()) },
		"another Call-ID":  func(r *siptest.Request) { r.CallID = siptest.Token(16) },
		"another identity": func(r *siptest.Request) { replaceRoute(r, "ti=carrier.example", "ti=other.example") },
		"no identity":      func(r *siptest.Request) { replaceRoute(r, ";ti=carrier.example", "") },
		"no signature":     func(r *siptest.Request) { replaceRoute(r, ";td=", ";xx=") },
		"no route":         func(r *siptest.Request) { r.Route = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := request("INFO")
			change(r)
			k.refused(r, k.far, other)
		})
	}
	k.arrives(request(sip.MethodBye), k.far)
}

func replaceRoute(r *siptest.Request, from, to string) {
	for i := range r.Route {
		r.Route[i] = strings.ReplaceAll(r.Route[i], from, to)
	}
}
