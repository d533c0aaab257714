package load

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// TestCredentials answers the challenges of the examples in RFC 7616, Section 3.9.1, and of RFC 2617, Section 3.5 without qop.
func TestCredentials(t *testing.T) {
	const nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
	const opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
	const cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	begin := `username="Mufasa", realm="http-auth@example.org", nonce="` + nonce + `", uri="/dir/index.html", response="`
	end := `, opaque="` + opaque + `", qop=auth, nc=00000001, cnonce="` + cnonce + "\"\r\n"
	for _, test := range []struct{ value, password, want string }{
		{`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="` + nonce + `", opaque="` + opaque + `"`, "Circle of Life",
			begin + `753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", algorithm=SHA-256` + end},
		{"digest\r\n realm = \"http-auth@example.org\",\r\n\tQOP=auth,algorithm=\"md5\",nonce=\"" + nonce + `",opaque="` + opaque + `"`, "Circle of Life",
			begin + `8ca523f5e9506fed4657c9700eebdbec", algorithm=MD5` + end},
		{`Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`, "Circle Of Life",
			`username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", response="670fd8c2df070c60b045671b8b24ff02"` + "\r\n"},
	} {
		c, err := readChallenge(test.value)
		if err != nil {
			t.Errorf("%s: %v", test.value, err)
			continue
		}
		if got := string(c.appendCredentials(nil, "Mufasa", test.password, "GET", "/dir/index.html", []byte(cnonce))); got != "Authorization: Digest "+test.want {
			t.Errorf("%s is answered\n%swant\nAuthorization: Digest %s", test.value, got, test.want)
		}
		again := string(c.appendCredentials(nil, "Mufasa", test.password, "GET", "/dir/index.html", []byte(cnonce)))
		if strings.Contains(again, "nc=00000002") != c.qop || strings.Contains(again, "cnonce") != c.qop {
			t.Errorf("the second time it is answered %s", again)
		}
	}
}

// TestChallengeText: what is no challenge that can be answered is told apart.
func TestChallengeText(t *testing.T) {
	const good = `Digest realm="a", nonce="b"`
	for _, test := range []struct {
		value string
		want  error
	}{
		{good, nil}, {good + `, stale=TRUE, domain="sip:x", future=1`, nil}, {`Digest realm="a\"b, c", nonce=""`, nil},
		{good + ", algorithm=SHA-512-256", errUnsupported}, {good + ", algorithm=MD5-sess", errUnsupported},
		{good + `, qop="auth-int"`, errUnsupported}, {`Basic realm="a"`, errUnsupported}, {"Bearer", errUnsupported},
		{"Digest", errChallenge}, {`Digest realm="a"`, errChallenge}, {`Digest nonce="a"`, errChallenge},
		{`Digest realm="a", nonce="b`, errChallenge}, {`Digest realm="a" nonce="b"`, errChallenge}, {`Digest realm="a", nonce="b\`, errChallenge},
		{`Digest realm="a", nonce=`, errChallenge}, {`Digest realm="a", =b, nonce="c"`, errChallenge}, {`Digest realm="a", nonce=b c`, errChallenge},
	} {
		c, err := readChallenge(test.value)
		if !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", test.value, err, test.want)
		}
		if c.stale != strings.Contains(test.value, "stale") {
			t.Errorf("%s: stale is %v", test.value, c.stale)
		}
	}
}

// guarding has requests of a method that lack credentials for a nonce answered on the way, and takes the ACK.
func guarding(method string, status int, nonce string, lines ...sip.Line) func(*world, side, string) []delivery {
	return func(w *world, _ side, text string) []delivery {
		m, _ := sip.Parse(text)
		switch {
		case is(text, 0, method) && !strings.Contains(text, `nonce="`+nonce+`"`):
			return answered(status, lines...)(w, text)
		case is(text, 0, sip.MethodAck) && strings.IndexByte(m.Branch(), requestBranch) >= 0:
			return nil
		}
		return []delivery{{text: text}}
	}
}

// wants is a challenge of a server or of a proxy.
func wants(proxy bool, realm, nonce, more string) sip.Line {
	name := fieldChallenge
	if proxy {
		name = fieldProxyChallenge
	}
	return sip.Line{Name: name, Value: `Digest realm="` + realm + `", nonce="` + nonce + `", qop="auth"` + more}
}

// TestChallenged has something on the way want credentials: every request of it is sent again once, and all is well.
func TestChallenged(t *testing.T) {
	for _, test := range []struct {
		scenario Scenario
		method   string
		status   int
		sent     map[string]int // for each call
	}{
		{Call, "INVITE", 407, map[string]int{"INVITE": 2, "ACK": 2, "BYE": 1, "SIP/2.0 200": 2}},
		{Call, "BYE", 407, map[string]int{"INVITE": 1, "ACK": 1, "BYE": 2, "SIP/2.0 200": 2}},
		{CalleeReinvite, "BYE", 407, map[string]int{"BYE": 2}},
		{Reinvite, "INVITE", 401, map[string]int{"INVITE": 3, "ACK": 3, "BYE": 1}},
		{Options, "OPTIONS", 401, map[string]int{"OPTIONS": 2, "SIP/2.0 200": 1}},
		{Register, "REGISTER", 401, map[string]int{"REGISTER": 2}},
		{Message, "MESSAGE", 407, map[string]int{"MESSAGE": 2}},
	} {
		t.Run(string(test.scenario)+" "+test.method, func(t *testing.T) {
			w := newWorld(t, Config{Mix: []Share{{test.scenario, 1}}, Password: "secret", Hold: 100 * time.Millisecond})
			w.tamper = guarding(test.method, test.status, "n1", wants(test.status == 407, "r", "n1", ""))
			const calls = 3
			tally := w.place(calls, 50)
			if tally.done != calls || tally.challenged != calls || tally.answered != calls {
				t.Fatalf("%d done, %d challenged, %d answered, want %d of each: %q", tally.done, tally.challenged, tally.answered, calls, w.e.failures.shown)
			}
			for prefix, n := range test.sent {
				if got := w.count(prefix); got != n*calls {
					t.Errorf("%q was sent %d times, want %d", prefix, got, n*calls)
				}
			}
			for _, text := range w.sent {
				if m, _ := sip.Parse(text); m.IsRequest() && strings.Contains(text, "Authorization: ") != strings.Contains(text, `username="`) {
					t.Errorf("credentials without a user:\n%s", text)
				}
			}
			if n := tally.took[challengedAfter].TotalCount(); n != calls {
				t.Errorf("%d challenges were timed, want %d", n, calls)
			}
			if c := w.e.counters; c.Repeated+c.RepeatsReceived+c.Late+c.UnknownRequests+c.UnknownResponses != 0 {
				t.Errorf("counters: %+v", c)
			}
		})
	}
}

// TestChallengedTimes: an answer that was challenged before is timed from when the request was due, and the challenge apart.
func TestChallengedTimes(t *testing.T) {
	w := newWorld(t, Config{Mix: []Share{{Options, 1}}, Password: "secret"})
	w.delay = 10 * time.Millisecond
	w.tamper = guarding("OPTIONS", 401, "n", wants(false, "r", "n", ""))
	tally := w.place(1, 1)
	if toChallenge, toAnswer := tally.quantile(challengedAfter, 50), tally.quantile(optionsTo200, 50); toChallenge.Round(time.Millisecond) != w.delay || toAnswer.Round(time.Millisecond) != 3*w.delay {
		t.Errorf("%v to the challenge, %v to the answer, want %v and %v", toChallenge, toAnswer, w.delay, 3*w.delay)
	}
}

// TestCredentialsOfACall: a nonce is used again with the next count, the ACK has what its INVITE had, and a user name is
// that of the identity, or of the callee's own URI.
func TestCredentialsOfACall(t *testing.T) {
	w := newWorld(t, Config{Password: "secret", Identities: 2})
	w.e.users = identities("auth-{n}", 2)
	w.tamper = guarding("INVITE", 401, "n", wants(false, "r", "n", ""))
	w.place(2, 10)
	credentials := make(map[string][]string)
	for _, text := range w.sent {
		if m, _ := sip.Parse(text); m.IsRequest() {
			line, _ := m.Header("Authorization")
			cseq, _ := m.CSeq()
			credentials[m.CallID()] = append(credentials[m.CallID()], m.Method()+itoa(int(cseq.Seq))+" "+line)
		}
	}
	for id, lines := range credentials {
		user := "auth-" + id[len(w.e.run)+1:len(w.e.run)+2]
		invite := lines[2][len("INVITE2 "):]
		want := []string{"INVITE1 ", "ACK1 ", "INVITE2 " + invite, "ACK2 " + invite}
		if len(lines) != 5 || strings.Join(lines[:4], "\n") != strings.Join(want, "\n") || !strings.Contains(invite, `username="`+user+`", realm="r"`) ||
			!strings.Contains(invite, "nc=00000001") || !strings.HasPrefix(lines[4], "BYE3 Digest ") || !strings.Contains(lines[4], "nc=00000002") {
			t.Errorf("the call %s has\n%s", id, strings.Join(lines, "\n"))
		}
	}
	w = newWorld(t, Config{Mix: []Share{{CalleeBye, 1}}, Password: "secret"})
	w.e.users = []string{"auth"}
	w.tamper = guarding("BYE", 407, "n", wants(true, "r", "n", ""))
	if w.place(1, 10); !strings.Contains(strings.Join(w.sent, ""), `Proxy-Authorization: Digest username="bob", `) {
		t.Errorf("the callee's BYE is not of its own user: %q", w.sent)
	}
}

// TestStale: two proxies want credentials each, and one of them finds its nonce stale then.
func TestStale(t *testing.T) {
	w := newWorld(t, Config{Password: "secret"})
	w.tamper = only(0, "INVITE", func(w *world, text string) []delivery {
		switch {
		case !strings.Contains(text, `realm="first"`):
			return answered(407, wants(true, "first", "old", ""))(w, text)
		case !strings.Contains(text, `realm="second"`):
			return answered(407, sip.Line{Name: fieldProxyChallenge, Value: `Digest realm="second", nonce="x", algorithm=SHA-512-256`},
				wants(true, "second", "sha", ", algorithm=SHA-256"), wants(true, "second", "md5", ", algorithm=MD5"))(w, text)
		case strings.Contains(text, `nonce="old"`):
			return answered(407, wants(true, "first", "new", ", stale=true"))(w, text)
		case !strings.Contains(text, `realm="second", nonce="sha"`) || !strings.Contains(text, "nc=00000002") || strings.Count(text, "Proxy-Authorization: ") != 2:
			w.t.Errorf("it is sent again:\n%s", text)
		}
		return []delivery{{text: text}}
	})
	if tally := w.place(2, 10); tally.done != 2 || tally.challenged != 6 || tally.answered != 6 {
		t.Errorf("%d done, %d challenged, %d answered, want 2, 6, 6: %q", tally.done, tally.challenged, tally.answered, w.e.failures.shown)
	}
}

// TestNotAnswered: calls fail whose challenge cannot be answered, and those whose credentials are refused.
func TestNotAnswered(t *testing.T) {
	for _, test := range []struct {
		name     string
		password string
		line     sip.Line
		sent     int
		reason   string
	}{
		{"no password", "", wants(false, "r", "n", ""), 1, "OPTIONS: status 401"},
		{"a wrong password", "secret", wants(false, "r", "other", ""), 2, "OPTIONS: status 401"},
		{"stale for ever", "secret", wants(false, "r", "other", ", stale=true"), 1 + maxTries, "OPTIONS: status 401"},
		{"no challenge", "secret", sip.Line{Name: "X", Value: "y"}, 1, "response: no challenge"},
		{"another scheme", "secret", sip.Line{Name: fieldChallenge, Value: "Bearer x"}, 1, "response: challenge"},
		{"nonsense", "secret", sip.Line{Name: fieldChallenge, Value: "Digest x"}, 1, "response: challenge"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Config{Mix: []Share{{Options, 1}}, Password: test.password})
			w.tamper = only(0, "OPTIONS", answered(401, test.line))
			tally := w.place(2, 10)
			if tally.failed != 2 || tally.reasons[test.reason] != 2 || w.count("OPTIONS") != 2*test.sent || tally.challenged != 2*test.sent || tally.answered != 2*(test.sent-1) {
				t.Errorf("%d challenged, %d answered, %d requests sent, for %v", tally.challenged, tally.answered, w.count("OPTIONS"), tally.reasons)
			}
		})
	}
	w := newWorld(t, Config{Password: "wrong", Expect: 401})
	w.tamper = refusing(401, wants(false, "r", "n", ""))
	if tally := w.place(2, 10); tally.done != 2 || w.count("ACK") != 4 {
		t.Errorf("with --expect 401 a wrong password is: %d done, %v", tally.done, tally.reasons)
	}
}

// TestChallengeRepeated: a challenge whose ACK got lost comes again when the INVITE has been sent again, and is acknowledged.
func TestChallengeRepeated(t *testing.T) {
	w := newWorld(t, Config{Password: "secret", Ring: time.Second})
	var challenge string
	w.tamper = guarding("INVITE", 401, "n", wants(false, "r", "n", ""))
	w.do(func() { w.e.offer([]Step{{Rate: 1}}, 1, w.now) })
	w.run(w.now)
	challenge = w.air[0].text
	w.run(w.now + 500*time.Millisecond)
	acks := w.count("ACK")
	w.hear(callerSide, challenge)
	last, _ := sip.Parse(w.sent[len(w.sent)-1])
	first, _ := sip.Parse(challenge)
	if w.count("ACK") != acks+1 || last.Method() != "ACK" || last.Branch() != first.Branch() {
		t.Errorf("%d ACK before, the last message then is\n%s", acks, last.Raw())
	}
	w.run(w.now + 2*time.Second)
	if tally := w.e.tallies[0]; tally.done != 1 || w.e.counters.RepeatsReceived != 1 {
		t.Errorf("%d done, counters: %+v", tally.done, w.e.counters)
	}
}

// TestCredentialsHidden: a failure is shown without the credentials of the request that was wrong.
func TestCredentialsHidden(t *testing.T) {
	w := newWorld(t, Config{Password: "secret", Vias: 9})
	w.tamper = guarding("INVITE", 407, "n", wants(true, "r", "n", ""))
	w.place(1, 1)
	if text := strings.Join(w.e.failures.shown, "\n"); strings.Contains(text, "username") || !strings.Contains(text, "\n    Proxy-Authorization: (not shown)\n    User-Agent: ") {
		t.Errorf("it is shown:\n%s", text)
	}
}

// TestAckOfChallenge: a proxy without state challenges inside a call, and passes on the ACK for that.
func TestAckOfChallenge(t *testing.T) {
	w := newWorld(t, Config{Mix: []Share{{CalleeReinvite, 1}}, Password: "secret"})
	w.tamper = only(0, "INVITE", func(w *world, text string) []delivery {
		m, _ := sip.Parse(text)
		if !tagged(m) || strings.Contains(text, "username") {
			return []delivery{{text: text}}
		}
		return answered(407, wants(true, "r", "n", ""))(w, text)
	})
	if tally := w.place(2, 10); tally.done != 2 || tally.challenged != 2 || w.e.counters.UnknownRequests != 2 {
		t.Errorf("%d done, %d challenged, counters %+v: %q", tally.done, tally.challenged, w.e.counters, w.e.failures.shown)
	}
}

// TestRealms: credentials are kept for so many realms, and no more.
func TestRealms(t *testing.T) {
	for _, realms := range []int{maxRealms, maxRealms + 1} {
		var lines []sip.Line
		for i := range realms {
			lines = append(lines, wants(true, "r"+itoa(i), "n", ""))
		}
		w := newWorld(t, Config{Password: "secret", Mix: []Share{{Message, 1}}})
		w.tamper = guarding("MESSAGE", 407, "n", lines...)
		if tally := w.place(1, 1); tally.done != min(1, maxRealms+1-realms) || tally.done == 0 && tally.reasons["response: challenge"] != 1 {
			t.Errorf("with %d realms %d done, %v", realms, tally.done, tally.reasons)
		}
	}
}

// TestCredentialsForgotten: a CANCEL has no credentials, and neither has a call that begins in the memory of another.
func TestCredentialsForgotten(t *testing.T) {
	w := newWorld(t, Config{Password: "secret", Ring: 20 * time.Second, Timeout: 10 * time.Second})
	w.tamper = guarding("INVITE", 407, "n", wants(true, "r", "n", ""))
	w.place(1, 1)
	w.run(w.now + lingering + time.Second)
	if w.place(1, 1); len(w.e.spare) != 0 {
		t.Fatalf("%d calls to use again, want that the second used the first", len(w.e.spare))
	}
	firsts := 0
	for _, text := range w.sent {
		switch {
		case is(text, 0, sip.MethodCancel) && strings.Contains(text, "Authorization"):
			t.Errorf("it has credentials:\n%s", text)
		case is(text, 0, sip.MethodInvite) && !strings.Contains(text, "Authorization"):
			firsts++
		}
	}
	if firsts != 2 || w.count("CANCEL") != 2 {
		t.Errorf("%d INVITE without credentials and %d CANCEL, want 2 and 2", firsts, w.count("CANCEL"))
	}
}
