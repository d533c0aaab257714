package sipaddr_test

import (
	"fmt"
	"net/netip"

	"github.com/tandem-sip/tandem/sipaddr"
)

func ExampleParseTransport() {
	t, ok := sipaddr.ParseTransport("tls")
	fmt.Println(t, ok, t.DefaultPort(), t.Secure())
	// Output: TLS true 5061 true
}

func ExampleNewResolved() {
	a, _ := sipaddr.NewResolved(netip.MustParseAddrPort("192.0.2.1:5061"), sipaddr.TLS)
	b, _ := sipaddr.NewResolved(netip.MustParseAddrPort("[::ffff:192.0.2.1]:5061"), sipaddr.TLS)
	fmt.Println(a, a == b)
	// Output: tls:192.0.2.1:5061 true
}

// A request over a connection from 192.0.2.1 said: Via: SIP/2.0/TLS p1.example.com;alias
func ExampleAdvertised_Aliased() {
	via := sipaddr.Advertised{Host: "p1.example.com", Transport: sipaddr.TLS}
	alias, err := via.Aliased(netip.MustParseAddr("192.0.2.1"))
	fmt.Println(via.SentBy(), alias, err)
	// Output: p1.example.com tls:192.0.2.1:5061 <nil>
}
