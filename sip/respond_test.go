package sip

import (
	"net/netip"
	"testing"
)

func TestAppendResponse(t *testing.T) {
	m := mustParse(t, "INVITE sip:bob@example.com SIP/2.0\r\n"+
		"t:\r\n \"Bob\" <sip:bob@example.com> ; x=y \r\n"+
		"v: SIP/2.0/UDP a;rport;branch=z9hG4bKa\r\n"+
		"Record-Route: <sip:rr;lr>\r\n"+
		"Timestamp: 54\r\n"+
		"Via: SIP/2.0/UDP b\r\n"+
		"CSeq :  1\r\n INVITE\r\n"+
		"i: call\r\nFrom: <sip:alice@example.net>;tag=a\r\nl: 2\r\n\r\nhi")
	m.SetReceived(netip.MustParseAddr("192.0.2.1"), 4000)
	const vias = "v: SIP/2.0/UDP a;rport=4000;branch=z9hG4bKa;received=192.0.2.1\r\nVia: SIP/2.0/UDP b\r\n"
	const rest = "From: <sip:alice@example.net>;tag=a\r\nt:\r\n \"Bob\" <sip:bob@example.com> ; x=y"
	for _, c := range []struct {
		name   string
		status int
		reason string
		tag    string
		extra  []Line
		want   string
	}{
		{"100", 100, "", "tag", nil, "SIP/2.0 100 Trying\r\n" + vias + rest + "\r\ni: call\r\nCSeq :  1\r\n INVITE\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n"},
		{"180", 180, "", "tag", nil, "SIP/2.0 180 Ringing\r\n" + vias + rest + ";tag=tag\r\ni: call\r\nCSeq :  1\r\n INVITE\r\nContent-Length: 0\r\n\r\n"},
		{"no tag", 404, "", "", nil, "SIP/2.0 404 Not Found\r\n" + vias + rest + "\r\ni: call\r\nCSeq :  1\r\n INVITE\r\nContent-Length: 0\r\n\r\n"},
		{"extra lines", 503, "Later", "tag", []Line{{"Retry-After", "5"}, {"Warning", "399 p \"a\r\n\x00b\""}},
			"SIP/2.0 503 Later\r\n" + vias + rest + ";tag=tag\r\ni: call\r\nCSeq :  1\r\n INVITE\r\nRetry-After: 5\r\nWarning: 399 p \"a   b\"\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendResponse(nil, m, c.status, c.reason, c.tag, c.extra...)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			mustParse(t, c.want)
		})
	}
}

func TestAppendResponseKeepsTag(t *testing.T) {
	for _, to := range []string{"<sip:b>;tag=x", "sip:b ; TAG = x", "\"open <sip:b>;tag=x", "A, B <sip:b>;tag=x"} {
		m, _ := Parse("OPTIONS sip:b SIP/2.0\r\nTo: " + to + "\r\nl: 0\r\n\r\n")
		if got := string(AppendResponse(nil, m, 400, "", "new")); got != "SIP/2.0 400 Bad Request\r\nTo: "+to+"\r\nContent-Length: 0\r\n\r\n" {
			t.Errorf("got\n%s", got)
		}
	}
}

func TestAppendResponseHidesNothingInCSeq(t *testing.T) {
	m, _ := Parse("OPTIONS sip:b SIP/2.0\r\nCSeq: 1 OPTIONS\r\n Route: <sip:evil>\r\nl: 0\r\n\r\n")
	if got := string(AppendResponse(nil, m, 400, "", "")); got != "SIP/2.0 400 Bad Request\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestAppendAckAndCancel(t *testing.T) {
	sent := mustParse(t, "INVITE sip:bob@example.com;lr SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP p;branch=z9hG4bKp, SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n"+
		"Route: <sip:r1;lr>\r\nMax-Forwards: 3\r\nRoute: <sip:r2;lr>\r\nf: <sip:alice@example.net>;tag=a\r\n"+
		"To: <sip:bob@example.com>\r\nCall-ID: call\r\nCSeq: 0007\r\n INVITE\r\nContact: <sip:c>\r\nl: 2\r\n\r\nhi")
	resp := mustParse(t, "SIP/2.0 486 Busy\r\nVia: SIP/2.0/UDP p;branch=z9hG4bKp\r\nt: <sip:bob@example.com>;tag=b\r\nl: 0\r\n\r\n")
	const common = " sip:bob@example.com;lr SIP/2.0\r\nVia: SIP/2.0/UDP p;branch=z9hG4bKp\r\nMax-Forwards: 70\r\nRoute: <sip:r1;lr>\r\nRoute: <sip:r2;lr>\r\nf: <sip:alice@example.net>;tag=a\r\n"
	ack := "ACK" + common + "t: <sip:bob@example.com>;tag=b\r\nCall-ID: call\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n"
	if got := string(AppendAck(nil, sent, resp)); got != ack {
		t.Errorf("got\n%s", got)
	}
	cancel := "CANCEL" + common + "To: <sip:bob@example.com>\r\nCall-ID: call\r\nCSeq: 7 CANCEL\r\nReason: SIP;cause=200\r\nContent-Length: 0\r\n\r\n"
	if got := string(AppendCancel(nil, sent, Line{"Reason", "SIP;cause=200"})); got != cancel {
		t.Errorf("got\n%s", got)
	}
	for _, s := range []string{ack, cancel} {
		if err := mustParse(t, s).Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestReasonPhrase(t *testing.T) {
	for status, want := range map[int]string{486: "Busy Here", 199: "Early Dialog Terminated", 499: "Bad Request", 299: "OK", 699: "Not Acceptable"} {
		if got := ReasonPhrase(status); got != want {
			t.Errorf("%d %s", status, got)
		}
	}
}
