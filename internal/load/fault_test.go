package load

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// TestFaults has something on the way misbehave in one way each: every call fails, and for the reason that it is.
func TestFaults(t *testing.T) {
	const invite, ack, bye = sip.MethodInvite, sip.MethodAck, sip.MethodBye
	for _, test := range []struct {
		name     string
		scenario Scenario
		vias     int
		tamper   func(*world, side, string) []delivery
		reason   string
	}{
		{"the answer has another CSeq", Call, 1, instead(200, invite, "CSeq: 1 ", "CSeq: 2 "), "response: CSeq"},
		{"the answer has another method in CSeq", Options, 1, instead(200, "OPTIONS", "CSeq: 1 OPTIONS", "CSeq: 1 INFO"), ""},
		{"the tags are swapped in the answer", Call, 1, only(200, invite, swapTags), "response: From tag"},
		{"the tags are swapped in BYE", Call, 1, only(0, bye, swapTags), "request: tags"},
		{"the tags are swapped in ACK", Call, 1, only(0, ack, swapTags), "request: tags"},
		{"the answer lost its To tag", Call, 1, only(200, invite, withoutToTag), "response: no To tag"},
		{"the answer has another To tag than the callee's", Call, 1, instead(200, invite, "b.example.net>;tag=", "b.example.net>;tag=x"), "response: To tag"},
		{"the answer's From has another URI", Call, 1, instead(200, invite, "sip:alice@a", "sip:alise@a"), "response: From"},
		{"the answer's To has another URI", Call, 1, instead(200, invite, "To: <sip:bob@b", "To: <sip:bop@b"), "response: To"},
		{"the answer has a Via too many", Call, 1, instead(200, invite, "Via: ", "Via: SIP/2.0/UDP p.example.org;branch=z9hG4bK1\r\nVia: "), "response: Via count"},
		{"the answer's Via has another branch", Call, 1, instead(200, invite, ";branch=z9hG4bK", ";branch=z9hG4bKx"), "response: Via"},
		{"the answer's Via has another sent-by", Call, 1, instead(200, invite, "Via: SIP/2.0/UDP 192.0.2.1:5060", "Via: SIP/2.0/UDP 192.0.2.9:5060"), "response: Via"},
		{"the answer's body is another", Call, 1, instead(200, invite, "m=audio 49170", "m=audio 49171"), "response: body"},
		{"the answer has no Contact", Call, 1, instead(200, invite, "Contact: ", "X-Contact: "), "no Contact"},
		{"the INVITE's body is another", Call, 1, instead(0, invite, "m=audio 49170", "m=audio 49171"), "request: body"},
		{"the INVITE's From is another", Call, 1, instead(0, invite, "sip:alice@a", "sip:alise@a"), "request: From"},
		{"the INVITE's To is another", Call, 1, instead(0, invite, "To: <sip:bob@b", "To: <sip:bop@b"), "request: To"},
		{"the INVITE's CSeq is another", Call, 1, instead(0, invite, "CSeq: 1 ", "CSeq: 7 "), "request: CSeq"},
		{"the INVITE's Contact is another", Call, 1, instead(0, invite, "Contact: <sip:alice@192.0.2.1", "Contact: <sip:alice@192.0.2.7"), "request: Contact"},
		{"Max-Forwards is not lowered", Call, 0, only(0, invite, withVia(70)), "request: Max-Forwards"},
		{"Max-Forwards is lowered twice", Call, 0, only(0, invite, withVia(68)), "request: Max-Forwards"},
		{"a proxy is missing", Call, 2, nil, "request: Via count"},
		{"the proxy is not in the route", Call, 2, only(0, invite, withVia(69)), "no Record-Route"},
		{"the route is strict", Call, 0, instead(0, invite, "Contact: ", "Record-Route: <sip:p.example.org>\r\nContact: "), "bad Record-Route"},
		{"the first Via is another", Call, 1, instead(0, invite, "SIP/2.0/UDP 192.0.2.1:5060;branch=", "SIP/2.0/UDP 192.0.2.3:5060;branch="), "request: Via"},
		{"BYE has another Request-URI", Call, 1, instead(0, bye, "BYE sip:bob@192.0.2.2:5060", "BYE sip:bob@192.0.2.3:5060"), "request: Request-URI"},
		{"BYE has a Route left", Call, 1, instead(0, bye, "Max-Forwards: 70", "Max-Forwards: 70\r\nRoute: <sip:p.example.org;lr>"), "request: Route"},
		{"BYE comes a second time with the CSeq of before", Reinvite, 1, instead(0, bye, "CSeq: 3 ", "CSeq: 2 "), "request: CSeq"},
		{"ACK has another CSeq", Call, 1, instead(0, ack, "CSeq: 1 ", "CSeq: 2 "), "request: CSeq"},
		{"INVITE is never answered", Call, 1, dropped(0, invite), "INVITE: timeout"},
		{"INVITE rings for ever", Call, 1, dropped(200, invite), ""},
		{"the answer to BYE is dropped", Call, 1, dropped(200, bye), "BYE: timeout"},
		{"BYE is dropped", CalleeBye, 1, dropped(0, bye), "BYE: timeout"},
		{"ACK is dropped", Call, 1, dropped(0, ack), "no ACK"},
		{"OPTIONS is never answered", Options, 1, dropped(200, "OPTIONS"), "OPTIONS: timeout"},
		{"everything is answered 503", Call, 1, refusing(503), "INVITE: status 503"},
		{"everything is answered 404", Message, 1, only(0, "MESSAGE", answered(404)), "MESSAGE: status 404"},
		{"the callee's BYE is answered 481", CalleeBye, 1, only(0, bye, answered(481)), "BYE: status 481"},
		{"the message is another", Message, 1, instead(0, "MESSAGE", "\r\n\r\nload", "\r\n\r\nl0ad"), "request: body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Config{Mix: []Share{{test.scenario, 1}}, Vias: test.vias, Hold: 50 * time.Millisecond})
			w.tamper = test.tamper
			tally := w.place(3, 100)
			if tally.failed != 3 || tally.done != 0 {
				t.Fatalf("%d failed, %d done, want all 3 failed", tally.failed, tally.done)
			}
			if test.reason != "" && tally.reasons[test.reason] != 3 {
				t.Errorf("reasons: %v, want %q three times", tally.reasons, test.reason)
			}
			if n := len(w.e.failures.shown); n == 0 || n > 2*len(tally.reasons) {
				t.Errorf("%d failures are shown", n)
			}
		})
	}
}

// swapTags exchanges the tags of From and To.
func swapTags(_ *world, text string) []delivery {
	m, _ := sip.Parse(text)
	from, _ := m.From()
	to, _ := m.To()
	text = strings.Replace(text, "tag="+from.Tag()+"\r\nTo", "tag=\x00\r\nTo", 1)
	text = strings.Replace(text, "tag="+to.Tag()+"\r\nCall-ID", "tag="+from.Tag()+"\r\nCall-ID", 1)
	return []delivery{{text: strings.Replace(text, "\x00", to.Tag(), 1)}}
}

func withoutToTag(_ *world, text string) []delivery {
	m, _ := sip.Parse(text)
	to, _ := m.To()
	return []delivery{{text: strings.Replace(text, ";tag="+to.Tag()+"\r\nCall-ID", "\r\nCall-ID", 1)}}
}

// withVia adds a proxy's Via, and sets Max-Forwards.
func withVia(hops int) func(*world, string) []delivery {
	return func(_ *world, text string) []delivery {
		text = strings.Replace(text, "Via: ", "Via: SIP/2.0/UDP p.example.org;branch=z9hG4bK77\r\nVia: ", 1)
		return []delivery{{text: strings.Replace(text, "Max-Forwards: 70", "Max-Forwards: "+itoa(hops), 1)}}
	}
}

// answered has requests answered on the way.
func answered(status int, lines ...sip.Line) func(*world, string) []delivery {
	return func(w *world, text string) []delivery {
		m, err := sip.Parse(text)
		if err != nil {
			w.t.Fatal(err)
		}
		to := callerSide
		if via, _ := m.TopVia(); via.SentBy() == w.places[calleeSide].sentBy {
			to = calleeSide
		}
		w.air = append(w.air, flight{w.now + w.delay, to, string(sip.AppendResponse(nil, m, status, "", "p", lines...))})
		return nil
	}
}

// refusing answers every INVITE, and takes the ACK.
func refusing(status int, lines ...sip.Line) func(*world, side, string) []delivery {
	answer := answered(status, lines...)
	return func(w *world, _ side, text string) []delivery {
		switch {
		case is(text, 0, sip.MethodInvite):
			return answer(w, text)
		case is(text, 0, sip.MethodAck):
			return nil
		}
		return []delivery{{text: text}}
	}
}

// TestTurnedAway counts 503s with Retry-After, and acknowledges them.
func TestTurnedAway(t *testing.T) {
	w := newWorld(t, Config{})
	w.tamper = refusing(503, sip.Line{Name: "Retry-After", Value: "5"})
	tally := w.place(4, 100)
	if tally.failed != 4 || tally.turnedAway != 4 {
		t.Errorf("%d failed, %d turned away, want 4 and 4", tally.failed, tally.turnedAway)
	}
	if n := w.count("ACK sip:bob@b.example.net SIP"); n != 4 {
		t.Errorf("%d of 4 responses were acknowledged", n)
	}
}

// TestExpect: a status that was asked for is no failure.
func TestExpect(t *testing.T) {
	for _, scenario := range []Scenario{Call, Options} {
		w := newWorld(t, Config{Expect: 404, Mix: []Share{{scenario, 1}}})
		w.tamper = only(0, scripts[scenario].method, answered(404))
		if tally := w.place(4, 100); tally.done != 4 {
			t.Errorf("%s: %d of 4 done: %v", scenario, tally.done, tally.reasons)
		}
	}
	w := newWorld(t, Config{Expect: 404})
	if tally := w.place(2, 100); tally.reasons["INVITE: status 200"] != 2 {
		t.Errorf("answered 200 where 404 was expected: %v", tally.reasons)
	}
}

// TestCancel: who gives up on an INVITE that was answered provisionally cancels it, and ends what is answered all
// the same.
func TestCancel(t *testing.T) {
	w := newWorld(t, Config{Ring: 20 * time.Second, Timeout: 10 * time.Second})
	tally := w.place(1, 1)
	if tally.reasons["INVITE: timeout"] != 1 || w.count("CANCEL") != 1 {
		t.Errorf("reasons %v and %d CANCEL, want a timeout and one", tally.reasons, w.count("CANCEL"))
	}
	w = newWorld(t, Config{Timeout: 2 * time.Second})
	w.tamper = only(200, sip.MethodInvite, func(_ *world, text string) []delivery {
		return []delivery{{text: text, later: 4 * time.Second}}
	})
	w.place(1, 1)
	w.run(w.now + 4*time.Second)
	if w.count("BYE") != 1 || w.count("ACK") == 0 {
		t.Errorf("%d BYE and %d ACK for an answer that came too late, want one, and one or more", w.count("BYE"), w.count("ACK"))
	}
}

// TestStrays: messages that belong to nothing are counted, and requests among them are refused.
func TestStrays(t *testing.T) {
	w := newWorld(t, Config{})
	const request = "BYE sip:x@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK9\r\nMax-Forwards: 70\r\n" +
		"From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: none\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
	m, err := sip.Parse(request)
	if err != nil {
		t.Fatal(err)
	}
	w.hear(callerSide, request)
	w.hear(callerSide, string(sip.AppendResponse(nil, m, 200, "", "")))
	w.hear(calleeSide, strings.NewReplacer("BYE", "OPTIONS", ";tag=2", "").Replace(request))
	w.hear(calleeSide, strings.NewReplacer("BYE", "INVITE", ";tag=2", "").Replace(request))
	if c := w.e.counters; c.UnknownRequests != 3 || c.UnknownResponses != 1 {
		t.Errorf("counters: %+v, want 3 requests and 1 response", c)
	}
	if w.count("SIP/2.0 481") != 2 || w.count("SIP/2.0 200") != 1 {
		t.Errorf("sent: %q", w.sent)
	}
}

// TestFailureText: what is shown has the reason, the call, what was wanted and the message.
func TestFailureText(t *testing.T) {
	w := newWorld(t, Config{})
	w.tamper = instead(200, sip.MethodInvite, "CSeq: 1 ", "CSeq: 2 ")
	w.place(20, 100)
	if len(w.e.failures.shown) != shownPerReason {
		t.Fatalf("%d failures are shown, want %d of one reason", len(w.e.failures.shown), shownPerReason)
	}
	text := w.e.failures.shown[0]
	for _, want := range []string{"response: CSeq, in call " + w.e.run + "-0@192.0.2.1, seen by the caller: it is 2 INVITE, want 1 INVITE\n    SIP/2.0 200 OK\n    Via: "} {
		if !strings.Contains(text, want) {
			t.Errorf("the failure reads:\n%s\nwant in it: %s", text, want)
		}
	}
	if strings.ContainsAny(text, "\r\x1b") {
		t.Errorf("control characters in %q", text)
	}
}
