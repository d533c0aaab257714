package sip_test

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

const options = "OPTIONS sip:bob@example.net SIP/2.0\r\n" +
	"v: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1\r\n" +
	"Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: Alice <sip:alice@example.com>;tag=1\r\n" +
	"To: <sip:bob@example.net>\r\n" +
	"Call-ID: a84b4c76e66710\r\n" +
	"CSeq: 1 OPTIONS\r\n" +
	"Content-Length: 0\r\n\r\n"

// A proxy takes its own Route away, adds its Via, counts Max-Forwards down, and leaves the rest as it is.
func ExampleMessage_Edit() {
	m, err := sip.Parse(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	m.SetReceived(netip.MustParseAddr("192.0.2.1"), 40000)
	e := m.Edit()
	e.RemoveFirst(sip.FieldRoute)
	e.Prepend(sip.FieldVia, "SIP/2.0/TLS p1.example.com;branch=z9hG4bK2;alias")
	e.Set(sip.FieldMaxForwards, "69")
	fmt.Print(strings.ReplaceAll(string(e.AppendTo(nil)), "\r\n", "\n"))
	// Output:
	// OPTIONS sip:bob@example.net SIP/2.0
	// Via: SIP/2.0/TLS p1.example.com;branch=z9hG4bK2;alias
	// v: SIP/2.0/UDP 192.0.2.1:5060;rport=40000;branch=z9hG4bK1;received=192.0.2.1
	// Route: <sip:p2.example.com;lr>
	// Max-Forwards: 69
	// From: Alice <sip:alice@example.com>;tag=1
	// To: <sip:bob@example.net>
	// Call-ID: a84b4c76e66710
	// CSeq: 1 OPTIONS
	// Content-Length: 0
}

func ExampleAppendResponse() {
	m, err := sip.Parse(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	out := sip.AppendResponse(nil, m, 503, "", "tag2", sip.Line{Name: "Retry-After", Value: "5"})
	fmt.Print(strings.ReplaceAll(string(out), "\r\n", "\n"))
	// Output:
	// SIP/2.0 503 Service Unavailable
	// v: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1
	// From: Alice <sip:alice@example.com>;tag=1
	// To: <sip:bob@example.net>;tag=tag2
	// Call-ID: a84b4c76e66710
	// CSeq: 1 OPTIONS
	// Retry-After: 5
	// Content-Length: 0
}

func ExampleURI_Equal() {
	a, _ := sip.ParseURI("sip:%61lice@AtLanTa.CoM;Transport=tcp")
	b, _ := sip.ParseURI("sip:alice@atlanta.com;transport=TCP;newparam=5")
	c, _ := sip.ParseURI("sip:alice@atlanta.com:5060;transport=tcp")
	fmt.Println(a.Equal(b), a.Equal(c))
	// Output: true false
}
