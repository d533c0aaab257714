package load_test

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// guard is a user agent that wants credentials for every request but ACK: each nonce is good for some requests, whose
// counts have to rise by one.
type guard struct {
	t        *testing.T
	hash     string // SHA-256 or MD5
	password string
	uses     uint64 // of a nonce
	mu       sync.Mutex
	issued   int
	counts   map[string]uint64 // by nonce
	users    map[string]int
}

var credential = regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^", ]+))`)

func (g *guard) digest(text string) string {
	if g.hash == "MD5" {
		return fmt.Sprintf("%x", md5.Sum([]byte(text)))
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
}

// handle is a siptest.PeerConfig.Handle.
func (g *guard) handle(r *siptest.Received) {
	line, _ := r.Header("Authorization")
	p := make(map[string]string)
	for _, m := range credential.FindAllStringSubmatch(line, -1) {
		p[m[1]] = m[2] + m[3]
	}
	method := r.Method()
	if method == sip.MethodAck {
		method = sip.MethodInvite // what it has is the INVITE's
	}
	want := g.digest(g.digest(p["username"]+":guard:"+g.password) + ":" + p["nonce"] + ":" + p["nc"] + ":" + p["cnonce"] + ":auth:" + g.digest(method+":"+p["uri"]))
	good := line != "" && p["response"] == want && p["realm"] == "guard" && p["algorithm"] == g.hash && p["qop"] == "auth" && p["opaque"] == "o=o" && p["uri"] == r.RequestURI()
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Method() == sip.MethodAck {
		if cseq, _ := r.CSeq(); cseq.Seq > 1 && p["response"] != want {
			g.t.Errorf("an ACK has other credentials than its INVITE:\n%s", r.Text)
		}
		return
	}
	count, issued := g.counts[p["nonce"]]
	nc, _ := strconv.ParseUint(p["nc"], 16, 32)
	if good && issued && count < g.uses {
		if nc != count+1 {
			g.t.Errorf("the nonce count is %d, want %d", nc, count+1)
		}
		g.counts[p["nonce"]] = nc
		g.users[p["username"]]++
		g.answer(r)
		return
	}
	g.issued++
	nonce := "n" + strconv.Itoa(g.issued)
	g.counts[nonce] = 0
	stale := ""
	if good && issued {
		stale = ", stale=TRUE"
	}
	r.Reply(401, `WWW-Authenticate: Digest realm="guard", nonce="`+nonce+`", opaque="o=o", algorithm=`+g.hash+`, qop="auth,auth-int"`+stale)
}

// answer answers as a callee of the generator does.
func (g *guard) answer(r *siptest.Received) {
	if r.Method() != sip.MethodInvite {
		r.Reply(200)
		return
	}
	session, _, _ := strings.Cut(r.Body(), "a=x-load-offer:")
	r.Reply(200, "Content-Type: application/sdp", "\r\n"+session+"a=x-load-answer:"+r.CallID()+"\r\n")
}

// TestGuard offers load over sockets to who wants credentials.
func TestGuard(t *testing.T) {
	for _, test := range []struct {
		hash                 string
		transport            sipaddr.Transport
		scenario             load.Scenario
		uses                 uint64
		challenged, requests int // of each call
	}{
		{"SHA-256", sipaddr.TCP, load.Call, 9, 1, 2}, {"MD5", sipaddr.TCP, load.Reinvite, 1, 3, 3}, {"SHA-256", sipaddr.UDP, load.Register, 1, 1, 1},
		{"MD5", sipaddr.TCP, load.Options, 1, 1, 1}, {"SHA-256", sipaddr.TCP, load.Message, 1, 1, 1},
	} {
		t.Run(fmt.Sprintf("%s %v %s", test.hash, test.transport, test.scenario), func(t *testing.T) {
			t.Parallel()
			g := &guard{t: t, hash: test.hash, password: "pass: word", uses: test.uses, counts: make(map[string]uint64), users: make(map[string]int)}
			peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "guard", Handle: g.handle})
			cfg := load.Config{
				Target: load.Endpoint{Transport: test.transport, Addr: peer.Listen(test.transport, 5060)}, Bind: netip.AddrPortFrom(siptest.Loopback(t), 0),
				Mix: []load.Share{{Scenario: test.scenario, Weight: 1}}, Steps: []load.Step{{Rate: 200}}, Calls: 30,
				Identities: 3, From: "sip:alice{n}@a.example.com", Password: g.password, Hold: 10 * time.Millisecond, Timeout: 10 * time.Second, T1: 5 * time.Second,
			}
			r := run(t, cfg)
			well(t, r, 30)
			if want := 30 * test.challenged; r.Challenged != want || r.ChallengesAnswered != want || int(r.Latency["challenge"].Count) != want {
				t.Errorf("%d challenged, %d answered, %d timed, want %d", r.Challenged, r.ChallengesAnswered, r.Latency["challenge"].Count, want)
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			for i := range 3 {
				if n := g.users["alice"+strconv.Itoa(i)]; n != 10*test.requests {
					t.Errorf("alice%d sent %d requests with credentials, want %d", i, n, 10*test.requests)
				}
			}
		})
	}
	t.Run("a wrong password", func(t *testing.T) {
		t.Parallel()
		g := &guard{t: t, hash: "MD5", password: "right", uses: 1, counts: make(map[string]uint64), users: make(map[string]int)}
		peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "guard", Handle: g.handle})
		r := run(t, load.Config{
			Target: load.Endpoint{Transport: sipaddr.TCP, Addr: peer.Listen(sipaddr.TCP, 5060)}, Mix: []load.Share{{Scenario: load.Options, Weight: 1}},
			Steps: []load.Step{{Rate: 100}}, Calls: 5, Password: "wrong", User: "u", Identities: 2,
		})
		if r.Failed != 5 || r.Challenged != 10 || r.ChallengesAnswered != 5 || r.Reasons["OPTIONS: status 401"] != 5 {
			t.Errorf("%d failed, %d challenged, %d answered: %v", r.Failed, r.Challenged, r.ChallengesAnswered, r.Reasons)
		}
	})
}
