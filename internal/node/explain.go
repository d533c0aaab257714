package node

import (
	"context"

	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transport"
)

// Explanation is where a request for a next-hop URI would go, and why.
type Explanation struct {
	// Answer is what RFC 3263 finds, with its steps, also beside Err.
	Answer resolve.Answer
	// Err says why there is no address; nil: there is one at least.
	Err error
	// Ways are the addresses in the order in which they are tried. What follows from the first failing is in the second.
	Ways []Way
}

// Way is what becomes of a request at one address.
type Way struct {
	Hop transport.Hop
	transport.Explanation
}

// Explain answers where a request for a next-hop URI would go on behalf of a served domain ("" is the first one), by
// the same look-ups and tables as the request itself, and changes nothing. It asks DNS when it has to, and ctx bounds
// that.
func (n *Node) Explain(ctx context.Context, u *sip.URI, localDomain string) Explanation {
	var out Explanation
	out.Answer, out.Err = n.inForce.Load().finder.Explain(ctx, u)
	for _, to := range out.Answer.Addresses {
		h := network{n}.hop(proxy.Hop{To: to, URI: u, LocalDomain: localDomain})
		out.Ways = append(out.Ways, Way{h, n.net.Explain(h)})
	}
	return out
}
