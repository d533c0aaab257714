package node_test

// RFC 5923, Section 5 and RFC 5923, Section 7: what the proxy makes of an alias parameter.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/siptest"
)

var chapter5 = map[string]func(*testing.T){
	"5923-5-1": sourceAddress,
	"5923-5-2": sentByPort,
	"5923-5-3": viaTransport,
	"5923-5-4": allIdentities,
	"5923-5-5": sameDestination,
	"5923-7-1": aliasParameter,
}

// sourceAddress: the sent-by leads to a decoy, by DNS or as an address, and so does a forged received. The
// row has the source address all the same, and nobody asks the DNS about sent-by.
func sourceAddress(t *testing.T) {
	s := newStand(t, plan{})
	decoy := siptest.NewPeer(t, siptest.PeerConfig{Name: "decoy", Handle: answerButInvite,
		Cert: s.ca.Domain(t, "example.net", "decoy.example.net")})
	decoy.Listen(secure(t), 5061)
	s.record(fmt.Sprintf("decoy.example.net. 60 IN A %s", decoy.Addr()))
	for _, sentBy := range []string{"decoy.example.net", decoy.Addr().String()} {
		for _, params := range [][]string{{"alias"}, {"alias", "received=" + decoy.Addr().String()}} {
			conn := s.dials(s.far)
			s.offer(s.far, conn, sentBy, params...)
			for _, r := range s.p.rows() {
				if r.Resolved != s.resolved(s.far, 5061) {
					t.Errorf("sent-by %s, %v: a row for %v", sentBy, params, r.Resolved)
				}
			}
			s.over(conn, "sip:bob@example.net", s.far)
			leave(conn)
			eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
		}
	}
	if n := s.dns.Queries("decoy.example.net.", "A") + s.dns.Queries("decoy.example.net.", "SRV"); n != 0 {
		t.Errorf("the proxy looked sent-by up, %d times", n)
	}
	conn := s.offered("decoy.example.net")
	s.notOver(conn, "sip:bob@decoy.example.net;transport=tls", decoy)
}

// sentByPort: each sent-by makes a row for its port, the default one without any.
func sentByPort(t *testing.T) {
	s := newStand(t, plan{})
	for sentBy, port := range map[string]uint16{
		"p2.example.net": 5061, "p2.example.net:5061": 5061, "p2.example.net:5071": 5071, "p2.example.net:5060": 5060,
		"p2.example.net : 6061": 6061, "192.0.2.7": 5061, "192.0.2.7:7001": 7001, "[2001:db8::1]": 5061, "[2001:db8::1]:7002": 7002,
	} {
		conn := s.dials(s.far)
		s.offer(s.far, conn, sentBy, "alias")
		if r := s.row(); r.Resolved != s.resolved(s.far, port) {
			t.Errorf("sent-by %s: a row for %v, want port %d", sentBy, r.Resolved, port)
		}
		leave(conn)
		eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	}
}

// viaTransport: the row's transport is the one that the topmost Via names; one that TLS is not makes no row.
func viaTransport(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.dials(s.far)
	via := func(transport string, params string) string {
		return "SIP/2.0/" + transport + " p2.example.net;branch=z9hG4bK" + siptest.Token(12) + params
	}
	for _, top := range [][]string{
		{via("TCP", ";alias")}, {via("UDP", ";alias")}, {via("SCTP", ";alias")}, {via("other", ";alias")},
		{via("TLS", ""), via("TLS", ";alias")}, // not the topmost
		{via("TLS", "") + ", " + via("TLS", ";alias")},
	} {
		s.offerVia(s.far, conn, top...)
		if rows := s.p.rows(); len(rows) != 0 {
			t.Errorf("Via %q makes the row %+v", top, rows[0])
		}
	}
	for _, name := range []string{"TLS", "tls"} {
		conn := s.dials(s.far)
		s.offerVia(s.far, conn, via(name, ";alias"), via("UDP", ""))
		if r := s.row(); r.Resolved.Transport != secure(t) {
			t.Errorf("a row for %v", r.Resolved)
		}
		s.over(conn, "sip:bob@example.net", s.far)
		leave(conn)
		eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	}
}

// allIdentities: the one that sent-by names is not the only one whose requests go over the connection.
func allIdentities(t *testing.T) {
	names := []string{"example.net", "p2.example.net", "example.org", "third.example"}
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca, far: ca.Domain(t, names...)})
	for _, d := range names[2:] {
		s.names(d, "p2.example.net", s.far.Addr(), 5061)
	}
	conn := s.offered("p2.example.net")
	if got := s.row().Identities.Names(); len(got) != len(names) {
		t.Errorf("the row has the identities %v, want %v", got, names)
	}
	for _, name := range names {
		if !s.row().Identities.Contains(name) {
			t.Errorf("the row lacks %s", name)
		}
	}
	for _, uri := range []string{"sip:bob@example.net", "sip:bob@p2.example.net;transport=tls", "sip:bob@example.org", "sip:bob@third.example"} {
		s.over(conn, uri, s.far)
	}
	if n := s.dialed(); n != 0 {
		t.Errorf("%d connections were dialed", n)
	}
}

// sameDestination: where a new connection would not have delivered a request to the same authenticated
// peer, the request does not go over the alias either.
func sameDestination(t *testing.T) {
	t.Run("would be delivered", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{})
		there := s.sends("sip:bob@example.net", s.far).Conn // what a new connection finds
		conn := s.offered("p2.example.net")
		got := s.sends("sip:bob@example.net", s.far).Conn
		if got != conn && got != there {
			t.Errorf("the request came over %v", got)
		}
	})
	t.Run("another name", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{})
		s.names("victim.example", "p2.example.net", s.far.Addr(), 5061)
		s.offered("p2.example.net")
		if got := s.fails("sip:bob@victim.example"); got.StatusCode() != 503 {
			t.Errorf("answered %d", got.StatusCode())
		}
		quiet(s.far)
	})
	t.Run("a certificate for clients only", func(t *testing.T) {
		t.Parallel()
		ca := siptest.NewCA(t)
		s := newStand(t, plan{ca: ca})
		client := siptest.NewPeer(t, siptest.PeerConfig{Name: "client", Addr: s.far.Addr(), Cert: ca.Issue(t, siptest.Spec{
			URIs: []string{"sip:example.net"}, ExtKeyUsage: oids(siptest.ClientAuth)})})
		conn := s.dials(client)
		if got := s.offer(client, conn, "p2.example.net", "alias"); got.StatusCode() != 200 {
			t.Errorf("OPTIONS is answered %d", got.StatusCode())
		}
		s.noRows() // it could never have been the server
		s.notOver(conn, "sip:bob@example.net", s.far)
	})
	t.Run("a certificate that has ended", func(t *testing.T) {
		t.Parallel()
		ca := siptest.NewCA(t)
		s := newStand(t, plan{ca: ca})
		old := siptest.NewPeer(t, siptest.PeerConfig{Name: "old", Addr: s.far.Addr(), Handle: answerButInvite, Cert: ca.Issue(t, siptest.Spec{
			URIs: []string{"sip:example.net"}, NotAfter: time.Now().Add(3 * time.Second)})})
		conn := s.dials(old)
		s.offer(old, conn, "p2.example.net", "alias")
		end := s.row().NotAfter
		s.over(conn, "sip:bob@example.net", old)
		eventually(t, "the certificate has ended", func() bool { return time.Now().After(end) })
		s.notOver(conn, "sip:bob@example.net", s.far)
	})
}

// aliasParameter: the proxy writes alias without a value, and reads it in any case and place.
func aliasParameter(t *testing.T) {
	s := newStand(t, plan{})
	b := func() string { return "branch=z9hG4bK" + siptest.Token(12) }
	offers := []struct {
		params string
		want   bool
	}{
		{";alias;" + b(), true},
		{";" + b() + ";alias", true},
		{";" + b() + ";alias;rport;x=y", true},
		{";x;ALIAS;" + b(), true},
		{";" + b() + ";Alias", true},
		{" ; aLiaS ; " + b(), true},
		{";x=\"a;b\";alias;" + b(), true},
		{";" + b() + "\r\n ;alias", true}, // folded
		{";" + b(), false},
		{";" + b() + ";alias=1", false},
		{";" + b() + ";alias=\"\"", false},
		{";" + b() + ";xalias;aliases;x-alias", false},
		{";" + b() + ";x=alias", false},
		{";" + b() + ";x=\";alias\"", false},
	}
	for i, o := range offers {
		conn := s.dials(s.far)
		port := uint16(6000 + i)
		via := fmt.Sprintf("SIP/2.0/%v p2.example.net:%d%s", secure(t), port, o.params)
		r := conn.Request("OPTIONS", "sip:p1.example.com")
		r.Via = []string{via}
		conn.SendRequest(r)
		final := s.far.Expect("an answer to "+via, same(r.CallID, false))
		if final.StatusCode() != 200 {
			t.Errorf("%q is refused", via)
		}
		has := slices.ContainsFunc(s.p.rows(), func(r alias.Row) bool { return r.Resolved == s.resolved(s.far, port) })
		if has != o.want {
			t.Errorf("%q makes a row: %t, want %t", via, has, o.want)
		}
	}
	compact := s.dials(s.far)
	r := compact.Request("OPTIONS", "sip:p1.example.com")
	r.Via = []string{spoken(t, "SIP/2.0/TLS p2.example.net:6100;alias;"+b())}
	compact.Send(strings.Replace(r.String(), "Via:", "v:", 1))
	s.far.Expect("an answer", same(r.CallID, false))
	if !slices.ContainsFunc(s.p.rows(), func(r alias.Row) bool { return r.Resolved == s.resolved(s.far, 6100) }) {
		t.Error("the compact form makes no row")
	}

	via, err := s.sends("sip:bob@example.net", s.far).TopVia()
	if err != nil || !slices.Contains(strings.Split(via.Params, ";"), "alias") {
		t.Errorf("the proxy's Via has the parameters %q", via.Params)
	}
}
