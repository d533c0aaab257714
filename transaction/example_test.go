package transaction_test

import (
	"fmt"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// connection is a flow that shows what it is given.
type connection struct{ id uint64 }

func (c connection) ID() uint64                   { return c.id }
func (c connection) Reliable() bool               { return true }
func (c connection) Transport() sipaddr.Transport { return sipaddr.TLS }
func (c connection) Identity() string             { return "example.org" }

func (c connection) Send(b []byte) error {
	line, _, _ := strings.Cut(string(b), "\r\n")
	fmt.Printf("connection %d: %s\n", c.id, line)
	return nil
}

// relay is a user that passes requests on as they are, which a real proxy does not.
type relay struct{ layer *transaction.Layer }

func (r *relay) Request(tx *transaction.Server, req *sip.Message, src *transaction.Source) {
	branch := transaction.NewBranch()
	e := req.Edit()
	e.Prepend(sip.FieldVia, "SIP/2.0/TLS p.example.com;branch="+branch)
	_, err := r.layer.Start(e.AppendTo(nil), branch, req.Method(), connection{2}, answers{tx})
	if err != nil {
		_ = tx.Respond(sip.AppendResponse(nil, req, 503, "", tx.Tag()), 503)
	}
}

func (r *relay) Ack(req *sip.Message, src *transaction.Source)      {}
func (r *relay) Cancel(tx *transaction.Server, cancel *sip.Message) {}
func (r *relay) ServerFailed(tx *transaction.Server, err error)     {}

// answers takes the responses back.
type answers struct{ tx *transaction.Server }

func (a answers) Response(_ *transaction.Client, resp *sip.Message) {
	e := resp.Edit()
	e.RemoveFirst(sip.FieldVia)
	_ = a.tx.Respond(e.AppendTo(nil), resp.StatusCode())
}

func (a answers) Failed(*transaction.Client, error) {
	req := a.tx.Request()
	_ = a.tx.Respond(sip.AppendResponse(nil, req, 408, "", a.tx.Tag()), 408)
}

// A proxy in its simplest form: an OPTIONS comes over one connection and goes out over another, and the
// response to it goes back.
func Example() {
	r := &relay{}
	r.layer = transaction.New(transaction.Config{User: r})
	// A real element also has `go r.layer.Run(ctx)`, for the timers.

	m, _ := sip.Parse("OPTIONS sip:bob@example.com SIP/2.0\r\n" +
		"Via: SIP/2.0/TLS a.example.org;branch=z9hG4bK7\r\n" +
		"Max-Forwards: 70\r\n" +
		"From: <sip:alice@example.org>;tag=1\r\n" +
		"To: <sip:bob@example.com>\r\n" +
		"Call-ID: 7@example.org\r\n" +
		"CSeq: 1 OPTIONS\r\n" +
		"Content-Length: 0\r\n\r\n")
	r.layer.Receive(m, &transaction.Source{Flow: connection{1}, Identity: "example.org"})

	for _, info := range r.layer.Transactions() {
		if info.Kind == transaction.ClientNonInvite {
			text := "SIP/2.0 200 OK\r\n" +
				"Via: SIP/2.0/TLS p.example.com;branch=" + info.Branch + "\r\n" +
				"Via: SIP/2.0/TLS a.example.org;branch=z9hG4bK7\r\n" +
				"From: <sip:alice@example.org>;tag=1\r\n" +
				"To: <sip:bob@example.com>;tag=2\r\n" +
				"Call-ID: 7@example.org\r\n" +
				"CSeq: 1 OPTIONS\r\n" +
				"Content-Length: 0\r\n\r\n"
			m, _ := sip.Parse(text)
			r.layer.Receive(m, &transaction.Source{Flow: connection{2}, Identity: "example.org"})
		}
	}
	fmt.Println(len(r.layer.Transactions()), "transactions left")

	// Output:
	// connection 2: OPTIONS sip:bob@example.com SIP/2.0
	// connection 1: SIP/2.0 200 OK
	// 0 transactions left
}
