package resolve

// RFC 3263, Section 4.1: which of the NAPTR records of a domain apply.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/tandem-sip/tandem/sipaddr"
)

// naptrRecord is a NAPTR record.
type naptrRecord struct {
	order, preference uint16
	flags, service    string // upper case
	replacement       string // lower case, without the final dot
}

// readNAPTR takes over a record. A regular expression in it is not looked at: RFC 3263 has no use for one,
// and a record that has nothing else has no replacement and so does not apply.
func readNAPTR(rr *dns.NAPTR) naptrRecord {
	return naptrRecord{
		order: rr.Order, preference: rr.Preference,
		flags: strings.ToUpper(rr.Flags), service: strings.ToUpper(rr.Service),
		replacement: plainName(rr.Replacement),
	}
}

// compareNAPTR sorts by order and then by preference (RFC 2915, Section 2).
func compareNAPTR(a, b naptrRecord) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.preference, b.preference))
}

// String gives the record as in a zone file.
func (n naptrRecord) String() string {
	return fmt.Sprintf("%d %d %q %q %s", n.order, n.preference, n.flags, n.service, n.replacement+".")
}

// offersTLS tells whether a domain says that it can be reached over TLS.
func (rec *records) offersTLS() bool {
	for _, n := range rec.naptr {
		if strings.HasPrefix(n.service, "SIPS+D2") {
			return true
		}
	}
	return false
}

// choose gives the transports that a domain wants and that we have, in the order of the domain, each with
// the SRV records that it leads to. A sips URI discards what is not SIPS (RFC 3263, Section 4.1). Only the
// first record of a transport counts, so that the number of questions is bounded.
func (r *Resolver) choose(rec *records, secure bool) []choice {
	var all []choice
	for _, n := range rec.naptr {
		if n.flags != "S" || !validName(n.replacement) {
			continue
		}
		for _, t := range r.cfg.Transports {
			if serviceOf(t).naptr == n.service && (t.Secure() || !secure) && !hasTransport(all, t) {
				all = append(all, choice{t, n.replacement})
			}
		}
	}
	return all
}

// hasTransport tells whether a transport is among the choices.
func hasTransport(all []choice, t sipaddr.Transport) bool {
	return slices.ContainsFunc(all, func(c choice) bool { return c.transport == t })
}
