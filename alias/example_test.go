package alias_test

import (
	"fmt"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// The virtual servers of RFC 5923, Section 9.3: one address has two domains behind it, and the
// connection that is authenticated for the one does not carry requests for the other.
func ExampleTable() {
	now := time.Now()
	address, _ := sipaddr.ParseResolved("tls:192.0.2.1:5061")
	com, _ := identity.NewSet("example.com", "p1.example.com")

	table := alias.New("example.org", alias.Config{})
	table.Add(alias.Row{
		Resolved: address, Identities: com, LocalDomain: "example.org",
		Conn: 18, Direction: alias.Accepted, MadeBy: "a84b4c76e66710", LastUsed: now,
	})
	for _, host := range []string{"example.com", "example.net"} {
		d := table.Find(address, host, now)
		fmt.Println(host, d.Conn, d.Reason)
	}
	// Output:
	// example.com 18 reuse
	// example.net 0 identity_mismatch
}
