package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// scene is a proxy between an agent and a peer over TLS, with its admin API.
type scene struct {
	*rig
	ca    *siptest.CA
	agent *siptest.Peer
	far   *siptest.Peer // partner.example
}

// newScene runs a proxy that has sent a MESSAGE to its peer, over a connection that it dialed.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{ca: siptest.NewCA(t)}
	dns := siptest.NewDNS(t, "")
	s.agent = siptest.NewPeer(t, siptest.PeerConfig{Name: "agent", Handle: siptest.AnswerAll})
	s.agent.Listen(sipaddr.UDP, 5060)
	s.far = siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Cert: s.ca.Domain(t, "partner.example"), Handle: siptest.AnswerAll})
	s.far.Listen(sipaddr.TLS, 5061)
	certFile, keyFile := s.ca.Domain(t, "example.com").WriteFiles(t)
	zone := []string{}
	for _, name := range []string{"partner.example", "other.example"} {
		zone = append(zone, fmt.Sprintf(`%[1]s. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.%[1]s.`, name),
			fmt.Sprintf(`_sips._tcp.%[1]s. 60 IN SRV 10 10 5061 host.%[1]s.`, name), fmt.Sprintf(`host.%s. 60 IN A %s`, name, s.far.Addr()))
	}
	dns.Set(strings.Join(zone, "\n"))
	at := siptest.Loopback(t)
	s.rig = newRig(t, fmt.Sprintf(`
listen: [udp://%[1]s:5060, tls://%[1]s:5061]
admin: 127.0.0.1:0
dns: [%[2]s]
trust: {ca: [%[3]s]}
domains: [{name: example.com, certificate: %[4]s, key: %[5]s}]
access: {relay_from: [%[6]s]}
peers:
  - {name: partner, identities: [partner.example]}
  - {name: other, identities: [other.example]}
timers: {drain: 1s}
`, at, dns.Addr(), s.ca.WriteFile(t), certFile, keyFile, s.agent.Addr()))
	s.asks("sip:bob@partner.example", 200)
	return s
}

// asks sends a MESSAGE from the agent and waits for its answer.
func (s *scene) asks(uri string, status int) {
	s.t.Helper()
	conn := s.agent.Dial(sipaddr.UDP, s.node.Listening()[0].Addr)
	r := conn.SendRequest(conn.Request(sip.MethodMessage, uri))
	got := s.agent.Expect("the final answer", func(x *siptest.Received) bool {
		return x.Message != nil && !x.IsRequest() && x.CallID() == r.CallID && x.StatusCode() >= 200
	})
	if got.StatusCode() != status {
		s.t.Fatalf("%s was answered %d, want %d", uri, got.StatusCode(), status)
	}
}

// dialed returns the id of the connection to the peer.
func (s *scene) dialed(t testing.TB) uint64 {
	t.Helper()
	var page api.Page[api.Connection]
	s.get("/v1/connections?direction=dialed&state=open&sort=-opened", &page)
	if len(page.Items) == 0 {
		t.Fatal("there is no dialed connection")
	}
	return page.Items[0].ID
}

// TestConnections: what is said of a connection, of its alias row and of the peer is what is so.
func TestConnections(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var page api.Page[api.Connection]
	s.get("/v1/connections", &page)
	if page.Total != 1 || page.Limit != usualPage {
		t.Fatalf("connections: %+v", page)
	}
	c := page.Items[0]
	if c.Transport != "tls" || c.Direction != "dialed" || c.State != "open" || c.LocalDomain != "example.com" || c.Peer != "partner" ||
		c.Resolved != fmt.Sprintf("tls:%s:5061", s.far.Addr()) || c.Reference != "partner.example" || !slices.Contains(c.Identities, "partner.example") ||
		c.TLSVersion == "" || c.Cipher == "" || c.BytesIn == 0 || c.BytesOut == 0 || c.Expiry == nil || c.AliasRows != 1 || c.Backwards || c.Handshake <= 0 {
		t.Errorf("connection: %+v", c)
	}
	var one api.Connection
	if a := s.get(fmt.Sprintf("/v1/connections/%d", c.ID), &one); one.ID != c.ID || a.header.Get("ETag") == "" {
		t.Errorf("one connection: %+v, %v", one, a.header)
	}
	var rows api.Page[api.Alias]
	s.get("/v1/aliases?identity=partner.example", &rows)
	if len(rows.Items) != 1 || rows.Items[0].Connection != c.ID || rows.Items[0].IP != s.far.Addr().String() || rows.Items[0].Port != 5061 || rows.Items[0].MadeBy != "dial" {
		t.Errorf("rows: %+v", rows)
	}
	var peers api.Page[api.Peer]
	s.get("/v1/peers", &peers)
	if len(peers.Items) != 2 || peers.Items[0].Status != "connected" || peers.Items[0].Connections != 1 || peers.Items[0].DaysLeft == nil || peers.Items[0].OwnDaysLeft == nil ||
		peers.Items[0].ReusesOurs || peers.Items[0].WeReuse || peers.Items[0].Trouble != nil || peers.Items[1].Status != "idle" {
		t.Errorf("peers: %+v", peers.Items)
	}
	var txs api.Page[api.Transaction]
	s.get("/v1/transactions?kind=server-noninvite&method=MESSAGE", &txs)
	if len(txs.Items) != 1 || txs.Items[0].Connection != 0 || txs.Items[0].State != "completed" || txs.Items[0].Timer != "J" || txs.Items[0].FiresIn <= 0 {
		t.Errorf("transactions: %+v", txs)
	}

	// The peer sends a request over the connection that we dialed.
	got := s.far.Expect("the MESSAGE", func(x *siptest.Received) bool { return x.Message != nil && x.IsRequest() })
	got.Conn.SendRequest(got.Conn.Request(sip.MethodOptions, "sip:example.com"))
	s.far.ExpectResponse(200)
	s.get("/v1/peers?name=partner", &peers)
	if len(peers.Items) != 1 || !peers.Items[0].ReusesOurs {
		t.Errorf("a peer that reuses: %+v", peers.Items)
	}
}

// TestLists: sorting, filtering and cutting, and what is wrong with each.
func TestLists(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 5 {
		c := s.agent.Dial(sipaddr.TLS, netip.AddrPortFrom(s.node.Listening()[1].Addr.Addr(), 5061))
		c.SendRequest(c.Request(sip.MethodOptions, fmt.Sprintf("sip:example.com;x=%d", i)))
		s.agent.ExpectResponse(200)
	}
	ids := func(query string) (list []uint64, total int) {
		var page api.Page[api.Connection]
		s.get("/v1/connections"+query, &page)
		for _, c := range page.Items {
			list = append(list, c.ID)
		}
		return list, page.Total
	}
	for _, c := range []struct {
		query string
		want  []uint64
		total int
	}{
		{"", []uint64{1, 2, 3, 4, 5, 6}, 6},
		{"?sort=-id", []uint64{6, 5, 4, 3, 2, 1}, 6},
		{"?sort=id&limit=2&offset=3", []uint64{4, 5}, 6},
		{"?offset=6", nil, 6},
		{"?offset=1000", nil, 6},
		{"?limit=0", nil, 6},
		{"?direction=dialed", []uint64{1}, 1},
		{"?direction=accepted&sort=-opened&limit=1", []uint64{6}, 5},
		{"?identity=partner.example", []uint64{1}, 1},
		{"?peer=nobody", nil, 0},
		{"?id=3", []uint64{3}, 1},
		{"?sort=certificate_expiry&limit=1", []uint64{1}, 6},
	} {
		if got, total := ids(c.query); !slices.Equal(got, c.want) || total != c.total {
			t.Errorf("%s: %v of %d, want %v of %d", c.query, got, total, c.want, c.total)
		}
	}
	for _, query := range []string{
		"?sort=colour", "?sort=", "?sort=--id", "?limit=-1", "?limit=10001", "?limit=x", "?limit=", "?offset=-1", "?offset=99999999999999999999",
		"?direction=sideways", "?state=OPEN", "?limit=1&limit=2", "?colour=red", "?%ff=1", "?a;b=c",
	} {
		refused(t, s.do(http.DefaultClient, "GET", "/v1/connections"+query, ""), 400, api.BadRequest)
	}
}

// TestActions: what can be done to one connection, and what is in the way of it.
func TestActions(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	post := func(path string, header ...string) answer {
		t.Helper()
		return s.do(http.DefaultClient, "POST", path, "", header...)
	}
	id := s.dialed(t)
	at := func(id uint64, verb string) string { return fmt.Sprintf("/v1/connections/%d%s", id, verb) }
	refused(t, post(at(id, "/close")), 428, api.PreconditionRequired)
	refused(t, post(at(id, "/close"), "If-Match", `"other"`), 412, api.PreconditionFailed)
	refused(t, post("/v1/connections/x/close", "If-Match", "*"), 400, api.BadRequest)
	refused(t, post("/v1/connections/99/close", "If-Match", "*"), 404, api.NotFound)
	refused(t, s.do(http.DefaultClient, "GET", at(id, "/close"), ""), 405, api.MethodNotAllowed)
	refused(t, post(at(id, "/explode"), "If-Match", "*"), 404, api.NotFound)

	// Forgotten: the next request dials, and the first connection stays.
	tag := s.get(at(id, ""), nil).header.Get("ETag")
	if a := post(at(id, "/forget"), "If-Match", tag); a.status != 200 {
		t.Fatalf("forget: %d %s", a.status, a.body)
	}
	refused(t, post(at(id, "/forget"), "If-Match", tag), 412, api.PreconditionFailed)
	var rows api.Page[api.Alias]
	if s.get("/v1/aliases", &rows); len(rows.Items) != 0 {
		t.Errorf("rows after it was forgotten: %+v", rows.Items)
	}
	s.asks("sip:bob@partner.example", 200)
	second := s.dialed(t)
	if second == id {
		t.Errorf("the next request took connection %d, which was forgotten", id)
	}
	s.get(at(id, ""), nil)

	// Closed now, although a transaction waits; and drained.
	for i, verb := range []string{"/close", "/drain"} {
		victim := []uint64{second, id}[i]
		tag := s.get(at(victim, ""), nil).header.Get("ETag")
		if a := post(at(victim, verb), "If-Match", `"x", `+tag); a.status != 200 {
			t.Fatalf("%s: %d %s", verb, a.status, a.body)
		}
		s.eventually("the connection is gone", func() bool {
			return s.do(http.DefaultClient, "GET", at(victim, ""), "").status == 404
		})
	}
	s.asks("sip:bob@partner.example", 200)
}

// TestExplain: what is said about a next hop is what then happens to a request for it.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	explain := func(uri, from string) (x api.Explanation) {
		t.Helper()
		s.get("/v1/explain?"+url.Values{"uri": {uri}, "from": {from}}.Encode(), &x)
		return x
	}
	id := s.dialed(t)
	x := explain("sip:bob@partner.example", "EXAMPLE.com")
	if x.LocalDomain != "example.com" || len(x.Ways) != 1 || x.Ways[0].Action != "reuse" || x.Ways[0].Reason != "reuse" || x.Ways[0].Connection != id ||
		x.Ways[0].Reference != "partner.example" || x.Ways[0].Basis != "uri" || len(x.Ways[0].Considered) != 1 || len(x.Steps) < 3 ||
		!strings.Contains(x.Would, fmt.Sprintf("connection %d ", id)) {
		t.Errorf("reuse: %+v", x)
	}
	// The same address, and somebody else has to be there.
	x = explain("sip:bob@other.example", "")
	if len(x.Ways) != 1 || x.Ways[0].Action != "dial" || x.Ways[0].Reason != "identity_mismatch" || x.Ways[0].Connection != 0 ||
		len(x.Ways[0].Considered) != 1 || x.Ways[0].Considered[0].Reason != "identity_mismatch" || x.Ways[0].Considered[0].Row.Connection != id {
		t.Errorf("dial: %+v", x)
	}
	x = explain("sip:10.0.0.1;transport=tls", "")
	if len(x.Ways) != 1 || x.Ways[0].Action != "refuse" || x.Ways[0].Reason != "no_reference" || x.Ways[0].Failure == "" || !strings.Contains(x.Would, "refused") {
		t.Errorf("refuse: %+v", x)
	}
	if x = explain("sip:127.0.0.1:5070", ""); len(x.Ways) != 1 || x.Ways[0].Action != "datagram" || x.Ways[0].Reason != "not_tls" {
		t.Errorf("datagram: %+v", x)
	}
	if x = explain("sip:nowhere.example", ""); x.Failure == "" || len(x.Ways) != 0 || !strings.Contains(x.Would, "refused") || len(x.Steps) == 0 {
		t.Errorf("nowhere: %+v", x)
	}
	for _, query := range []string{"", "?uri=", "?uri=tel:1", "?uri=%00", "?uri=sip:a&from=example.org", "?uri=sip:" + strings.Repeat("a", maxURI)} {
		refused(t, s.do(http.DefaultClient, "GET", "/v1/explain"+query, ""), 400, api.BadRequest)
	}
}

// TestPeerTrouble: for each thing that can be the matter with a peer, its cause and what to do about it are said.
func TestPeerTrouble(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	trouble := func(name string) api.Peer {
		t.Helper()
		var page api.Page[api.Peer]
		s.get("/v1/peers?name="+name, &page)
		if len(page.Items) != 1 || page.Items[0].Trouble == nil {
			t.Fatalf("peer %s: %+v", name, page.Items)
		}
		return page.Items[0]
	}
	// The certificate at the address names partner.example only.
	s.asks("sip:bob@other.example", 503)
	if p := trouble("other"); p.Status != "failing" || !strings.Contains(p.Trouble.Cause, "not authenticated as other.example") ||
		!strings.Contains(p.Trouble.Cause, "partner.example") || !strings.Contains(p.Trouble.Mend, "certificate") || p.Trouble.Address == "" {
		t.Errorf("wrong name: %+v %+v", p, p.Trouble)
	}
	// Somebody with a certificate that nobody vouches for says to be the partner.
	stranger := siptest.NewPeer(t, siptest.PeerConfig{Name: "stranger", Cert: siptest.NewCA(t).Domain(t, "partner.example")})
	conn := stranger.Dial(sipaddr.TLS, s.node.Listening()[1].Addr)
	_ = conn.ExpectClosed()
	s.eventually("it is told", func() bool { return s.node.Peers()[0].Trouble.Cause != "" })
	if p := trouble("partner"); !strings.Contains(p.Trouble.Cause, "dialed from "+stranger.Addr().String()) || !strings.Contains(p.Trouble.Mend, "trust.ca") {
		t.Errorf("not vouched for: %+v", p.Trouble)
	}
	// Nobody is there any more.
	s.far.Close()
	s.eventually("its connection is gone", func() bool { return len(s.node.Connections()) == 0 })
	s.asks("sip:bob@partner.example", 500)
	if p := trouble("partner"); !strings.Contains(p.Trouble.Cause, "refused the connection") || p.Trouble.Mend == "" || p.Status != "failing" {
		t.Errorf("down: %+v", p.Trouble)
	}
}

// TestSteer: reload and drain are passed on, and what became of them is told.
func TestSteer(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	post := func(path, body string, header ...string) answer {
		t.Helper()
		return r.do(http.DefaultClient, "POST", path, body, header...)
	}
	var result error
	calls := 0
	r.reload = func(context.Context) error { calls++; return result }
	if a := post("/v1/reload", "{}", "Content-Type", "application/json"); a.status != 200 || calls != 1 {
		t.Errorf("reload: %d %s", a.status, a.body)
	}
	result = &config.Error{Problems: []config.Problem{{File: "tandem.yaml", Line: 3, Key: "listen", Text: "bad"}, {File: "tandem.yaml", Line: 4, Text: "worse"}}}
	a := post("/v1/reload", "")
	refused(t, a, 422, api.Unprocessable)
	if !strings.Contains(string(a.body), "tandem.yaml:3: listen: bad") || !strings.Contains(string(a.body), "worse") {
		t.Errorf("the problems are not told: %s", a.body)
	}
	result = errors.New("the process is stopping")
	refused(t, post("/v1/reload", ""), 503, api.Unavailable)
	calls = 0
	for _, body := range []string{"{", "[]", "1", `"x"`, `{"colour": "red"}`, "{}{}", "nul", strings.Repeat("[", 60_000)} {
		refused(t, post("/v1/reload", body, "Content-Type", "application/json"), 400, api.BadRequest)
		refused(t, post("/v1/drain", body, "Content-Type", "application/x-www-form-urlencoded"), 415, api.UnsupportedMediaType)
	}
	refused(t, post("/v1/reload?now=1", ""), 400, api.BadRequest)
	if calls != 0 || len(r.drains) != 0 {
		t.Errorf("bad requests had effect: %d reloads, %d drains", calls, len(r.drains))
	}
	if a := post("/v1/drain", ""); a.status != 200 || len(r.drains) != 1 {
		t.Errorf("drain: %d %s", a.status, a.body)
	}
}

// TestLogLevel: the level of the log is shown and changed, and nothing else is taken for one.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	var l api.Log
	if r.get("/v1/log", &l); l.Level != "info" || l.Configured != "info" || l.Until != nil {
		t.Errorf("%+v", l)
	}
	for _, query := range []string{"", "?level=loud", "?level=DEBUG", "?level=debug&for_seconds=0", "?level=debug&for_seconds=x", "?level=debug&colour=red"} {
		refused(t, r.do(http.DefaultClient, "POST", "/v1/log"+query, ""), 400, api.BadRequest)
	}
	if a := r.do(http.DefaultClient, "POST", "/v1/log?level=debug&for_seconds=60", ""); a.status != 200 || !strings.Contains(string(a.body), `"until":"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.do(http.DefaultClient, "POST", "/v1/log?level=configured", ""); a.status != 200 || strings.Contains(string(a.body), `"until"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestUsableWhileDraining: what becomes of a drain can be asked.
func TestUsableWhileDraining(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	silent, err := net.Dial("tcp", r.node.Listening()[1].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	done := make(chan error, 1)
	// Ends when the node has drained, or ctx is done.
	go func() { done <- r.node.Drain(ctx) }()
	r.eventually("the node drains", func() bool {
		var st api.Status
		r.get("/v1/status", &st)
		return st.State == "draining"
	})
	silent.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
