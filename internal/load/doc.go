// Package load offers calls and other requests to a SIP element at a rate that does not depend on how fast it
// answers, takes the calls at the far end, and checks every message that arrives at either.
//
// Arrivals are open loop: each has a time at which it is due, and what is measured begins at that time, also when
// the generator was late or its peer made it wait. So a stall counts for everybody who would have called meanwhile,
// which is what is called correction for coordinated omission. How late the generator itself was is measured as well.
//
// The two ends are user agents by RFC 3261: they repeat requests over UDP, acknowledge, hang up, and answer what is
// repeated to them. They share the parser of messages with the rest of the house and nothing else that a fault could
// hide in: sockets, framing of what they write, transactions and dialogs are their own.
//
// One lock guards all calls. Whoever reads a socket carries what it read through the calls and then, without the
// lock, writes what came of it.
package load
