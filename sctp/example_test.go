package sctp_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tandem-sip/tandem/sctp"
)

// Two sides on one machine: one listens and serves, the other dials and sends one message, as SIP over SCTP
// does it.
func Example() {
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	server, err := sctp.Open(sctp.Config{Kind: sctp.UDP, Addresses: loopback, UDPPort: 39899})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := sctp.Open(sctp.Config{Kind: sctp.UDP, Addresses: loopback, UDPPort: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	listener, err := server.Listen(5060)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	dialed, err := client.Dial(ctx, listener.Addr(), 39899)
	if err != nil {
		fmt.Println(err)
		return
	}
	accepted, err := listener.Accept(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := dialed.Send(ctx, []byte("OPTIONS sip:example.net SIP/2.0"), 0, true); err != nil {
		fmt.Println(err)
		return
	}
	// Ends with the shutdown.
	go func() { _ = dialed.Shutdown(ctx) }()
	fmt.Println(accepted.Serve(func(message []byte, stream uint16) {
		fmt.Printf("%s on stream %d\n", message, stream)
	}))
	// Output:
	// OPTIONS sip:example.net SIP/2.0 on stream 0
	// EOF
}
