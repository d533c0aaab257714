//go:build interop

package interop

import (
	"fmt"
	"strings"
)

// scenario is what one SIPp process plays, as the steps of a call. SIPp reads it as XML.
type scenario struct {
	name  string
	steps []string
}

// xml is the scenario in the form that SIPp reads.
func (s scenario) xml() string {
	return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"us-ascii\"?>\n<scenario name=%q>\n%s\n</scenario>\n", s.name, strings.Join(s.steps, "\n"))
}

// send is a step that sends a message; SIPp repeats it over UDP until the next step came when again is set.
func send(again bool, lines ...string) string {
	attribute := ""
	if again {
		attribute = ` retrans="500"`
	}
	return "<send" + attribute + "><![CDATA[\n" + strings.Join(lines, "\n") + "\n]]></send>"
}

// want is a step that waits for a response; of the provisional ones any number may be missing.
func want(status int) string {
	return fmt.Sprintf(`<recv response="%d"/>`, status)
}

// mayCome is a step that takes a response if it comes before the next one.
func mayCome(status int) string {
	return fmt.Sprintf(`<recv response="%d" optional="true"/>`, status)
}

// wantRouted is want, and keeps the Record-Route and the Contact as the way of the dialog.
func wantRouted(status int) string {
	return fmt.Sprintf(`<recv response="%d" rrs="true"/>`, status)
}

// wantRequest is a step that waits for a request.
func wantRequest(method string) string {
	return fmt.Sprintf(`<recv request=%q/>`, method)
}

// pause is a step that lets time pass, in milliseconds.
func pause(ms int) string { return fmt.Sprintf(`<pause milliseconds="%d"/>`, ms) }

// offer is the body of an INVITE or its answer.
const offer = `v=0
o=agent 1 [cseq] IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio 40000 RTP/AVP 0 8
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000`

// callerRequest is a request by the agent that began the call. SIPp fills in [callee] and [caller] from its
// command line. Requests of one transaction share the branch.
func callerRequest(method string, cseq int, branch string, inDialog bool, body string) []string {
	uri, tag, routes := "sip:[callee]", "", []string(nil)
	if inDialog {
		uri, tag, routes = "[next_url]", "[peer_tag_param]", []string{"[routes]"}
	}
	lines := []string{
		method + " " + uri + " SIP/2.0",
		"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK[pid]-[call_number]-" + branch,
	}
	lines = append(lines, routes...)
	lines = append(lines,
		"Max-Forwards: 70",
		"From: \"The caller\" <sip:[caller]>;tag=[pid]c[call_number]",
		"To: <sip:[callee]>"+tag,
		"Call-ID: [call_id]",
		fmt.Sprintf("CSeq: %d %s", cseq, method),
	)
	return finish(lines, method == "INVITE", body)
}

// finish adds the header fields that end a message, and its body.
func finish(lines []string, contact bool, body string) []string {
	if contact {
		lines = append(lines, "Contact: <sip:agent@[local_ip]:[local_port];transport=[transport]>")
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	return append(lines, "Content-Length: [len]", "", body)
}

// answer is a response to the request that came last.
func answer(status int, reason, cseq string, withTag bool, body string) []string {
	tag := ""
	if withTag {
		tag = ";tag=[pid]d[call_number]"
	}
	lines := []string{fmt.Sprintf("SIP/2.0 %d %s", status, reason), "[last_Via:]", "[last_Record-Route:]", "[last_From:]", "[last_To:]" + tag, "[last_Call-ID:]", cseq}
	return finish(lines, status < 300, body)
}

// lastCSeq repeats the CSeq of the request that came last.
const lastCSeq = "[last_CSeq:]"

// begin are the caller's first steps, up to the call that stands.
func begin() []string {
	return []string{
		send(true, callerRequest("INVITE", 1, "i", false, offer)...),
		mayCome(100), mayCome(180), wantRouted(200),
		send(false, callerRequest("ACK", 1, "a", true, "")...),
	}
}

// accept are the callee's first steps, up to the call that stands.
func accept() []string {
	return []string{
		`<recv request="INVITE" rrs="true"/>`,
		send(false, answer(180, "Ringing", lastCSeq, true, "")...),
		pause(40),
		send(true, answer(200, "OK", lastCSeq, true, offer)...),
		wantRequest("ACK"),
	}
}

// call is a pair of scenarios that belong together.
type call struct {
	name           string
	caller, callee scenario
	callerListens  bool // the caller is sent requests, for which SIPp listens over UDP only
}

// calls are the shapes of call that every pair of proxies must carry.
var calls = []call{
	{
		name:   "caller hangs up",
		caller: scenario{"caller", append(begin(), pause(100), send(true, callerRequest("BYE", 2, "b", true, "")...), want(200))},
		callee: scenario{"callee", append(accept(), wantRequest("BYE"), send(false, answer(200, "OK", lastCSeq, false, "")...))},
	},
	{
		name:          "callee hangs up",
		callerListens: true,
		caller:        scenario{"caller", append(begin(), wantRequest("BYE"), send(false, answer(200, "OK", lastCSeq, false, "")...))},
		callee: scenario{"callee", append(append([]string{
			`<recv request="INVITE" rrs="true"><action><ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/></action></recv>`},
			accept()[1:]...), pause(100),
			send(true, "BYE [next_url] SIP/2.0", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK[pid]-[call_number]-d", "[routes]", "Max-Forwards: 70",
				"From: <sip:[callee]>;tag=[pid]d[call_number]", "To:[$from]", "Call-ID: [call_id]", "CSeq: 7 BYE", "Content-Length: 0", "", ""),
			want(200))},
	},
	{
		name: "caller changes the call",
		caller: scenario{"caller", append(begin(), pause(50),
			send(true, callerRequest("INVITE", 2, "r", true, offer)...), mayCome(100), want(200),
			send(false, callerRequest("ACK", 2, "s", true, "")...), pause(50),
			send(true, callerRequest("BYE", 3, "b", true, "")...), want(200))},
		callee: scenario{"callee", append(accept(),
			wantRequest("INVITE"), send(true, answer(200, "OK", lastCSeq, false, offer)...), wantRequest("ACK"),
			wantRequest("BYE"), send(false, answer(200, "OK", lastCSeq, false, "")...))},
	},
	{
		name: "caller gives up",
		caller: scenario{"caller", []string{
			send(true, callerRequest("INVITE", 1, "i", false, offer)...), mayCome(100), want(180), pause(50),
			send(true, callerRequest("CANCEL", 1, "i", false, "")...), want(200), want(487),
			send(false, callerRequest("ACK", 1, "i", false, "")...)}},
		callee: scenario{"callee", []string{
			// The 487 answers the INVITE, while SIPp repeats header fields of the last request, the CANCEL.
			`<recv request="INVITE"><action>` +
				`<ereg regexp=".*" search_in="hdr" header="Via:" occurrence="1" assign_to="via1"/>` +
				`<ereg regexp=".*" search_in="hdr" header="Via:" occurrence="2" assign_to="via2"/>` +
				`<ereg regexp=".*" search_in="hdr" header="Via:" occurrence="3" assign_to="via3"/></action></recv>`,
			send(false, answer(180, "Ringing", lastCSeq, true, "")...),
			wantRequest("CANCEL"),
			send(false, answer(200, "OK", lastCSeq, true, "")...),
			send(true, "SIP/2.0 487 Request Terminated", "Via:[$via1]", "Via:[$via2]", "Via:[$via3]", "[last_From:]", "[last_To:];tag=[pid]d[call_number]",
				"[last_Call-ID:]", "CSeq: 1 INVITE", "Content-Length: 0", "", ""),
			wantRequest("ACK")}},
	},
	{
		name: "callee is busy",
		caller: scenario{"caller", []string{
			send(true, callerRequest("INVITE", 1, "i", false, offer)...), mayCome(100), want(486),
			send(false, callerRequest("ACK", 1, "i", false, "")...)}},
		callee: scenario{"callee", []string{
			wantRequest("INVITE"), send(true, answer(486, "Busy Here", lastCSeq, true, "")...), wantRequest("ACK")}},
	},
}
