package transaction

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// TestRing compares a ring with a plain list, around the ends of its positions.
func TestRing(t *testing.T) {
	for _, start := range []uint32{0, refPosition + 1 - 3*ringChunkSize, -3 * ringChunkSize & 0xffffffff} {
		r := ring{head: start, tail: start}
		share := NewShare(1)
		var list []uint32 // positions
		next := start
		random := rand.New(rand.NewPCG(1, uint64(start)))
		for range 3000 {
			if random.IntN(5) < 3 {
				var shares [2]*Share
				var late any
				if next%3 == 0 {
					shares[0], late = share, next
				}
				list = append(list, r.push(finished{kept: next}, shares, late))
				next++
			} else if len(list) > 0 {
				r.pop()
				list = list[1:]
			}
			if int(r.tail-r.head) != len(list) || len(r.chunks) > len(list)/ringChunkSize+2 {
				t.Fatalf("%d in %d chunks, want %d", r.tail-r.head, len(r.chunks), len(list))
			}
			for i, position := range list {
				n := next - uint32(len(list)-i)
				if f := r.at(position); f.kept != n || (f.shares()[0] != nil) != (n%3 == 0) || (f.late() != nil) != (n%3 == 0) {
					t.Fatalf("at %d: %+v, want %d", position, *f.finished, n)
				}
			}
		}
	}
}

// TestKept: what is kept is there until it is dropped, and what it lay in is given up then.
func TestKept(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	k := kept{first: 1<<(32-keptBits) - 2} // numbers of chunks wrap around
	type one struct {
		place uint32
		b     []byte
	}
	var list []one
	for n := range 5000 {
		if random.IntN(20) < 11 {
			b := bytes.Repeat([]byte{byte(n)}, random.IntN(900))
			if n%500 == 0 {
				b = bytes.Repeat([]byte{byte(n)}, 60_000)
			}
			list = append(list, one{k.add(b), b})
		} else if len(list) > 0 {
			k.drop(list[0].place)
			list = list[1:]
		}
		for i := range min(len(list), 3) {
			for _, o := range []one{list[i], list[len(list)-1-i]} {
				if !bytes.Equal(k.get(o.place), o.b) {
					t.Fatalf("at %d: %d bytes, want %d", o.place, len(k.get(o.place)), len(o.b))
				}
			}
		}
	}
	for _, o := range list {
		k.drop(o.place)
	}
	if len(k.chunks) != 0 {
		t.Errorf("%d chunks are kept for nothing", len(k.chunks))
	}
}

// A response is repeated to where it was sent, and to nobody else who knows the branch.
func TestRepeatedToItsSourceOnly(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f, other := udp(), udp()
		bye := request("BYE", "pc.example.org;branch="+testBranch)
		l.Receive(parse(t, bye), source(f))
		answer(t, u.last(), bye, 200)
		elsewhere := source(other)
		elsewhere.Remote.AddrPort = netip.MustParseAddrPort("198.51.100.1:5060")
		l.Receive(parse(t, bye), elsewhere)
		l.Receive(parse(t, bye), source(f))
		f.expect(t, "the source", "200", "200")
		other.expect(t, "somebody else")
		u.expect(t, "one request", "request BYE")
		if st := l.Stats(); st.Absorbed != 2 || st.Retransmits[ServerNonInvite] != 1 {
			t.Errorf("absorbed %d, repeated %d", st.Absorbed, st.Retransmits[ServerNonInvite])
		}
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
	})
}

// What has finished is matched as strictly as what is at work.
func TestFinishedIsMatched(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		for _, text := range []string{invite(), request("INVITE", "old.example.org")} {
			f := tls(1, "a")
			l.Receive(parse(t, text), source(f))
			answer(t, u.last(), text, 200)
			u.expect(t, "accepted", "request INVITE")
			l.Receive(parse(t, text), source(tls(2, "a")))
			u.expect(t, "again, over another connection")
			for what, other := range map[string]string{
				"branch":   strings.Replace(strings.Replace(text, testBranch, testBranch+"x", 1), "call-1", "call-2", 1),
				"sent-by":  strings.Replace(text, "SIP/2.0/UDP ", "SIP/2.0/UDP x", 1),
				"port":     strings.Replace(text, "example.org", "example.org:5099", 1),
				"method":   strings.ReplaceAll(text, "INVITE", "BYE"),
				"identity": text,
			} {
				identity := "a"
				if what == "identity" {
					identity = "b"
				}
				method := parse(t, other).Method()
				l.Receive(parse(t, other), source(tls(3, identity)))
				u.expect(t, "another "+what, "request "+method)
			}
		}
		l.mustDrain(t, u)
	})
}

// A CANCEL that comes after the final response is answered, and has no effect: RFC 3261, Section 9.2.
func TestCancelOfFinished(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, invite()), source(f))
		tag := u.last().Tag()
		answer(t, u.last(), invite(), 200)
		f.take()
		for range 2 {
			l.Receive(parse(t, cancel()), source(f))
		}
		sent := f.takeWhole()
		if len(sent) != 2 || sent[0] != sent[1] || !strings.Contains(sent[0], ";tag="+tag) {
			t.Errorf("sent %q, want two 200 with the tag %s", sent, tag)
		}
		u.expect(t, "no effect", "request INVITE")
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
	})
}

// Who still has a Server may send a further 2xx as long as the transaction lasts, and no longer.
func TestServerOutlivesItsTransaction(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, invite()), source(f))
		tx := u.last()
		answer(t, tx, invite(), 200)
		after(31 * time.Second)
		answer(t, tx, invite(), 202)
		f.expect(t, "within Timer L", "200", "202")
		afterEnd(l, time.Second)
		expectEmpty(t, l)
		if err := tx.Respond([]byte("x"), 200); !errors.Is(err, ErrEnded) {
			t.Errorf("after Timer L: %v", err)
		}
		f.expect(t, "after Timer L")
	})
}

// heirUser hands over to another user with the first final response.
type heirUser struct {
	*testUser
	heir *testUser
}

func (u *heirUser) Response(c *Client, resp *sip.Message) {
	u.testUser.Response(c, resp)
	if resp.StatusCode() >= 200 {
		c.HandOver(u.heir)
	}
}

// A further 2xx is told to whom the INVITE was handed over, if it comes from where the INVITE went.
func TestHandOver(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		heir := &testUser{}
		f := tls(1, "b")
		if _, err := l.Start([]byte(invite()), testBranch, "INVITE", f, &heirUser{u, heir}); err != nil {
			t.Fatal(err)
		}
		for i, status := range []int{180, 200, 200, 180, 486, 202} {
			from := f
			if i == 5 {
				from = tls(2, "b")
			}
			l.Receive(parse(t, respond(t, invite(), status)), source(from))
		}
		l.Receive(parse(t, respond(t, invite(), 200)), source(tls(3, "c")))
		u.expect(t, "first", "response 180", "response 200")
		heir.expect(t, "then", "response 200", "response 202")
		if st := l.Stats(); st.Foreign != 1 || st.Stray != 0 {
			t.Errorf("foreign %d, stray %d", st.Foreign, st.Stray)
		}
		if _, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u); !errors.Is(err, ErrBranch) {
			t.Errorf("the branch again: %v", err)
		}
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
		f.expect(t, "sent", "INVITE")
	})
}

// An ACK that can't be repeated ends the transaction, and its place is no other's until its time has come.
func TestLateAckFails(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		for i := range 3 {
			branch := fmt.Sprint(testBranch, i)
			text := strings.Replace(invite(), testBranch, branch, 1)
			if _, err := l.Start([]byte(text), branch, "INVITE", f, u); err != nil {
				t.Fatal(err)
			}
			l.Receive(parse(t, respond(t, text, 486)), source(f))
			l.Receive(parse(t, respond(t, text, 486)), source(f))
			f.expect(t, "ACK and ACK again", "INVITE", "ACK", "ACK")
			if i == 1 {
				f.fail(errors.New("unreachable"))
				l.Receive(parse(t, respond(t, text, 486)), source(f))
				f.fail(nil)
			}
		}
		if st := l.Stats(); st.Live[ClientInvite] != 2 || st.Undelivered != 1 {
			t.Errorf("%d live, %d undelivered", st.Live[ClientInvite], st.Undelivered)
		}
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
	})
}

// More end at once than end under one lock.
func TestManyEnd(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		for i := range 3 * maxEnded * shards / 2 {
			text := request("BYE", fmt.Sprintf("pc.example.org;branch=z9hG4bK%d", i))
			l.Receive(parse(t, text), source(f))
			answer(t, u.last(), text, 200)
		}
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
	})
}
