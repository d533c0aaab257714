package conformance

// need is what a case builds upon; several are joined by |.
type need uint8

const (
	needTrigger       need = 1 << iota // the target forwards what the trigger asks for
	needAlias                          // it honours offers of an alias
	needOffer                          // it offers an alias itself
	needSecondDomain                   // of the target
	needSecondAddress                  // of the prober
	needDNS                            // the target asks the prober's DNS server
)

// probeCase is the case of one clause.
type probeCase struct {
	id    string
	does  string // what the prober does, as the rest of a sentence that begins with "The prober"
	needs need
	run   func(*probe) error
}

// Case is a case as lists show it.
type Case struct {
	Clause
	Does string `json:"does"` // what the prober does to find out
}

// Cases returns the cases in the order in which they run.
func Cases() []Case {
	var all []Case
	for _, k := range cases {
		all = append(all, Case{clause(k.id), k.does})
	}
	return all
}

// cases has one case for each clause of RFC 5923 and RFC 5922, also for those that nobody can test from
// outside, which say why.
var cases = []probeCase{
	{"5923-5-1", "offers an alias with a sent-by that DNS knows at its other address, and has requests sent to both addresses", needTrigger | needAlias | needSecondAddress, sourceAddress},
	{"5923-5-2", "offers aliases with and without a port in sent-by, and has requests sent to that port and to another", needTrigger | needAlias, sentByPort},
	{"5923-5-3", "offers an alias over TLS with a Via that says TCP, and has a request sent over TLS", needTrigger, viaTransport},
	{"5923-5-4", "offers an alias with a certificate for three names, and has a request sent to each", needTrigger | needAlias, allIdentities},
	{"5923-5-5", "offers an alias with one certificate, and has a request sent to another name at the same address", needTrigger, sameDestination},

	{"5923-6-1", "exchanges requests both ways over a connection that it dialed, and counts connections", needTrigger | needAlias, bothDirections},
	{"5923-6-2", "looks at the port that the target dials from", needTrigger, ephemeralPorts},
	{"5923-6-3", "offers aliases for a name that it has no certificate for, with forged Vias, and has requests sent to that name", needTrigger, hijack},
	{"5923-6-4", "offers an alias, and has requests sent one after another and a dialog made and ended", needTrigger | needAlias, outlives},
	{"5923-6-5", "offers an alias, and has requests sent by an agent that offers none", needTrigger | needAlias, eachHop},
	{"5923-7-1", "writes alias in different case and places, and has a request sent for each", needTrigger | needAlias, aliasSpelling},

	{"5923-8.1-1", "has a request sent and a dialog made and ended, and looks whether the target keeps its connection", needTrigger, dialedStays},
	{"5923-8.1-2", "looks at the Via of a request that the target sends", needTrigger, viaOfRequests},
	{"5923-8.1-3", "leaves a connection that the target dialed unused for a while", needTrigger | needOffer, dialedStaysIdle},
	{"5923-8.1-4", "sends a request over a connection that the target dialed, and one to its listening port", needTrigger | needOffer, requestOverDialed},
	{"5923-8.1-5", "has two requests sent to one address, one after the other", needTrigger, dialedReused},
	{"5923-8.1-6", "dials the target's listening port after the target has dialed", needTrigger, listeningPort},
	{"5923-8.1-7", "presents a certificate for another name to what the target dials, then the right one", needTrigger, serverFirst},
	{"5923-8.1-8", "presents a certificate for two names, and has requests sent to both, to a third, and to its CN", needTrigger, serverIdentities},
	{"5923-8.1-9", "has requests sent to one name at two ports", needTrigger, resolvedAddress},
	{"5923-8.1-10", "has requests sent to two names at two ports by turns", needTrigger, rightConnection},
	{"5923-8.1-11", "has requests sent to the same address with another name, and to another address with the same name", needTrigger, dialedNeedsBoth},
	{"5923-8.1-12", "closes a connection that the target dialed, and has two more requests sent", needTrigger, dialedGone},
	{"5923-8.1-13", "rings, closes the connection, and has the INVITE cancelled", needTrigger, cancelAfterClose},
	{"5923-8.1-14", "rings, closes the connection, and declines over a new one", needTrigger, ackAfterClose},

	{"5923-8.2-1", "leaves a connection that it dialed unused for a while after a transaction", 0, acceptedStays},
	{"5923-8.2-2", "offers an alias, and has a request sent to its advertised address", needTrigger | needAlias, acceptedReused},
	{"5923-8.2-3", "sends the same request with and without alias, also where there can be none", 0, aliasNeverRejected},
	{"5923-8.2-4", "closes the connection of an alias, and has two more requests sent", needTrigger | needAlias, acceptedGone},
	{"5923-8.2-5", "offers aliases with a port in sent-by and without one, and has requests sent to port 5061 and to others", needTrigger | needAlias, destinationPort},
	{"5923-8.2-6", "offers an alias with an expired certificate, one of an unknown authority and one that it signed itself", needTrigger, clientFirst},
	{"5923-8.2-7", "offers an alias with a CN that differs from the subjectAltNames, and has requests sent to both", needTrigger, clientIdentities},
	{"5923-8.2-8", "offers an alias, and has requests sent to the same address with another name, and to another port with the same name", needTrigger, acceptedNeedsBoth},
	{"5923-8.2-9", "sends a request without alias, and has a request sent back", needTrigger, withoutAlias},

	{"5923-8.3-1", "cannot tell when the target is about to close", 0, notFromOutside("when the target closes a connection is its own affair, and nobody outside can ask for it")},
	{"5923-8.3-2", "cannot tell when the target is about to close", 0, notFromOutside("what the target discards after its own closure alert cannot be seen, and nobody outside can make it close")},
	{"5923-8.3-3", "sends a closure alert, stays to read, and has a request sent; on a connection of either direction", needTrigger, nothingAfterAlert},
	{"5923-8.3-4", "sends a closure alert while a request of its own waits for its answer", needTrigger, answerWhileClosing},

	{"5923-9.1-1", "presents certificates without the right name to what the target dials", needTrigger, otherServer},
	{"5923-9.2-1", "looks whether the handshake asks for a certificate", 0, asksForCertificate},
	{"5923-9.2-2", "offers an alias without a certificate, and compares the answer with that to a request without alias", 0, nobodyIsServed},
	{"5923-9.2-3", "offers an alias without a certificate, and has a request sent to the advertised address", needTrigger, nobodyHasNoAlias},
	{"5923-9.2-4", "offers aliases with certificates that fail validation, and has a request sent for each", needTrigger, badClients},
	{"5923-9.3-1", "offers an alias over TCP without TLS, and has a request sent over TCP", needTrigger, plainNeverReused},
	{"5923-9.3-2", "offers an alias for one name, has requests sent to two names at that address by turns, and counts connections", needTrigger | needAlias, twoFarDomains},
	{"5923-9.3-3", "has requests sent to one address on behalf of two of the target's domains", needTrigger | needSecondDomain, twoLocalDomains},
	{"5923-9.3-4", "offers an alias to one of the target's domains, and has a request sent on behalf of the other", needTrigger | needSecondDomain, tablesApart},
	{"5923-10-1", "says in DNS that a name has two servers of equal weight, and has 24 requests sent to it", needTrigger | needDNS, spreadBySRV},

	{"5922-7.1-1", "presents certificates that RFC 5280 refuses, in both roles", needTrigger, validation},
	{"5922-7.1-2", "presents certificates with every extended key usage, in both roles", needTrigger, usages},
	{"5922-7.1-3", "presents certificates whose only URI is a sips or https one, in both roles", needTrigger, otherSchemes},
	{"5922-7.1-4", "presents a certificate whose only URI has a user, in both roles", needTrigger, userpart},
	{"5922-7.1-5", "presents certificates whose only name is a sip URI, in lower and upper case", needTrigger, sipURI},
	{"5922-7.1-6", "presents certificates with a DNS name alone and beside a sip URI for another name", needTrigger, dnsNames},
	{"5922-7.1-7", "presents a certificate whose CN is the name and whose subjectAltName is another", needTrigger, commonName},
	{"5922-7.2-1", "presents a certificate whose sip URI has a port and a parameter", needTrigger, onlyTheName},
	{"5922-7.2-2", "presents certificates in capitals, also of an internationalised name", needTrigger, anyCase},
	{"5922-7.2-3", "presents certificates for the domain above and for one below, in both roles", needTrigger, noSuffix},
	{"5922-7.2-4", "presents certificates with wildcards, in both roles", needTrigger, noWildcard},
	{"5922-7.3-1", "says in DNS that a name is served by a host, and presents the host's certificate, then the name's", needTrigger | needDNS, originalHost},
	{"5922-7.3-2", "presents certificates without the right identity, and looks how soon the connection is closed", needTrigger, closedAtOnce},
	{"5922-7.4-1", "presents no certificate, and looks whether requests come back all the same", needTrigger, nobodyHasNoAlias},
	{"5922-7.4-2", "cannot see the target's policy", 0, notFromOutside("what the target's policy makes of identities is not laid down, so that no answer would be wrong")},
	{"5922-7.5-1", "has an INVITE sent, and compares Record-Route with the names in the target's certificate", needTrigger, recordRoute},
	{"5922-7.8-1", "looks at server_name when the target dials, and sends it when it dials", needTrigger, serverName},
}

// notFromOutside is the case of a clause that no prober can test.
func notFromOutside(why string) func(*probe) error {
	return func(*probe) error { return untestablef("%s", why) }
}
