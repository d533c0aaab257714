package transaction

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// lateUser is what a proxy leaves to take a late 2xx.
type lateUser struct{ nullUser }

// handingUser hands over when it has a final response, and forgets everything.
type handingUser struct{ nullUser }

var late = &lateUser{}

func (u *handingUser) Response(c *Client, resp *sip.Message) {
	if resp.StatusCode() >= 200 {
		c.HandOver(late)
	}
}

// TestMemoryPerTransaction: what a transaction holds in each of its states, with its place in the tables. What has
// finished holds at most 300 bytes and the response that it may have to send again; what is at work holds the message
// besides. Requests have 1,200 bytes, responses 400.
func TestMemoryPerTransaction(t *testing.T) {
	const count, requestSize, responseSize = 3_000, 1200, 400
	pad := func(text string, size int) string {
		return strings.Replace(text, "Content-Length", "X: "+strings.Repeat("x", size-len(text)-5)+"\r\nContent-Length", 1)
	}
	answerTo := func(req string, status int) string {
		short := strings.Index(req, "X: ")
		end := short + strings.Index(req[short:], "\r\n") + 2
		return pad(respond(t, req[:short]+req[end:], status), responseSize)
	}
	in := func(method string, n int) string {
		return pad(request(method, fmt.Sprintf("pc.example.org;branch=z9hG4bK-%08d", n)), requestSize)
	}
	const message = 1152 + requestSize // a parsed request: the user holds it as well
	tests := []struct {
		kind      Kind
		state     State
		transport sipaddr.Transport
		method    string
		responses []int // given, or received
		then      string
		atMost    int
	}{
		{ServerInvite, Proceeding, sipaddr.TLS, "INVITE", nil, "", message + 400},
		{ServerInvite, Proceeding, sipaddr.UDP, "INVITE", []int{180}, "", message + 400 + smallHold},
		{ServerInvite, Accepted, sipaddr.TLS, "INVITE", []int{200}, "", 150},
		{ServerInvite, Accepted, sipaddr.UDP, "INVITE", []int{180, 200}, "", 150},
		{ServerInvite, Completed, sipaddr.UDP, "INVITE", []int{486}, "", responseSize + 400},
		{ServerInvite, Confirmed, sipaddr.UDP, "INVITE", []int{486}, "ACK", 150},
		{ServerNonInvite, Trying, sipaddr.UDP, "BYE", nil, "", message + 400},
		{ServerNonInvite, Completed, sipaddr.UDP, "BYE", []int{200}, "", responseSize + 300},
		{ClientInvite, Calling, sipaddr.TLS, "INVITE", nil, "", largeHold + 550},
		{ClientInvite, Proceeding, sipaddr.UDP, "INVITE", []int{180}, "", largeHold + 550},
		{ClientInvite, Accepted, sipaddr.TLS, "INVITE", []int{180, 200}, "", 150},
		{ClientInvite, Accepted, sipaddr.UDP, "INVITE", []int{180, 200}, "", 150},
		{ClientInvite, Completed, sipaddr.UDP, "INVITE", []int{486}, "", 500},
		{ClientNonInvite, Trying, sipaddr.TLS, "BYE", nil, "", 600},
		{ClientNonInvite, Completed, sipaddr.UDP, "BYE", []int{200}, "", 150},
	}
	for _, tt := range tests {
		server := tt.kind == ServerInvite || tt.kind == ServerNonInvite
		u := &nullUser{}
		l := New(Config{User: u})
		flow := &nullFlow{id: 1, transport: tt.transport}
		src := &Source{Flow: flow, Shares: [2]*Share{NewShare(count)}}
		before := heap()
		for n := range count {
			text := in(tt.method, n)
			if !server {
				branch := fmt.Sprintf("z9hG4bK-%08d", n)
				if _, err := l.Start([]byte(text), branch, tt.method, flow, &handingUser{}); err != nil {
					t.Fatal(err)
				}
				for _, status := range tt.responses {
					l.Receive(parse(t, answerTo(text, status)), src)
				}
				continue
			}
			l.Receive(parse(t, text), src)
			for _, status := range tt.responses {
				if err := u.tx.Respond([]byte(answerTo(text, status)), status); err != nil {
					t.Fatal(err)
				}
			}
			if tt.then != "" {
				l.Receive(parse(t, in(tt.then, n)), src)
			}
		}
		u.tx = nil
		held := (heap() - before) / count
		if live := l.Stats().Live; live[tt.kind] != count {
			t.Fatalf("%v %v: %v live", tt.kind, tt.state, live)
		}
		for _, info := range l.Transactions() {
			if info.State != tt.state {
				t.Fatalf("%v: %v, want %v", tt.kind, info.State, tt.state)
			}
		}
		t.Logf("%-16v %-10v %v: %4d bytes", tt.kind, tt.state, tt.transport, held)
		if held > tt.atMost {
			t.Errorf("%v %v over %v: %d bytes, want %d at most", tt.kind, tt.state, tt.transport, held, tt.atMost)
		}
		runtime.KeepAlive(l)
	}
}

// heap returns how many bytes are in use. What lies in pools is given up first.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
