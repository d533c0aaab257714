package conformance_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"regexp"

	"github.com/tandem-sip/tandem/conformance"
)

// Probing an element that is to take no connection of a client without a certificate for a peer's.
func Example() {
	ctx := context.Background()
	ca, err := os.ReadFile("ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	key, err := os.ReadFile("ca.key")
	if err != nil {
		log.Fatal(err)
	}
	authority, err := conformance.LoadAuthority(ca, key)
	if err != nil {
		log.Fatal(err)
	}
	p, err := conformance.New(ctx, conformance.Config{
		Target: "sip:proxy.example.com", Domain: "example.com",
		DNS:       netip.MustParseAddrPort("192.0.2.7:5300"),
		Authority: authority,
		Only:      regexp.MustCompile(`^5923-9\.`),
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := p.Run(ctx)
	if err != nil {
		log.Fatal(err, "\n\n", p.Setup("ca.pem"))
	}
	for _, r := range report.Cases {
		fmt.Println(r.ID, r.Verdict, r.Reason)
	}
}

// The ledger says what each case is about.
func ExampleCases() {
	for _, k := range conformance.Cases() {
		if k.ID == "5923-8.2-4" {
			fmt.Println(k.Specification(), k.Level, k.Requirement)
			fmt.Printf("The prober %s.\n", k.Does)
		}
	}
	// Output:
	// RFC 5923 MUST When the aliased connection is gone at the time of sending, a new one is opened to the resolved address and the table updated.
	// The prober closes the connection of an alias, and has two more requests sent.
}
