package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/tandem-sip/tandem/identity"
)

func ExampleNormalize() {
	for _, host := range []string{"Example.COM.", "bücher.example", "192.0.2.1", "*.example.com"} {
		name, ok := identity.Normalize(host)
		fmt.Printf("%s: %q %t\n", host, name, ok)
	}
	// Output:
	// Example.COM.: "example.com" true
	// bücher.example: "xn--bcher-kva.example" true
	// 192.0.2.1: "" false
	// *.example.com: "" false
}

func ExampleSet_Contains() {
	accepted, err := identity.NewSet("example.com", "example.net")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(accepted.Contains("EXAMPLE.net"), accepted.Contains("sip.example.net"))
	// Output: true false
}

// A client demands that the server it has dialed proves the domain of the next-hop URI.
func ExampleVerifier_VerifyConnection() {
	var roots []*x509.Certificate // the trust anchors, from a file
	verifier, err := identity.NewVerifier(identity.Policy{Roots: roots})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = &tls.Config{
		ServerName:         "example.net", // SNI: RFC 5922, Section 7.8
		InsecureSkipVerify: true,          // the rules of crypto/tls are not those of SIP
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := verifier.VerifyConnection(cs, identity.Server, "example.net")
			return err
		},
	}
	// Output: identity: no trust anchors, so that no peer could be authenticated
}
