// Package resolve turns a next-hop URI into resolved addresses, in the order in which to try them
// (RFC 3263, RFC 2782, RFC 7984).
//
// A Resolver answers "to which address?" and nothing else. Who must be found there is another question:
// it is settled by the host of the URI (RFC 5922, Section 7.3), so no name that DNS handed out, be it of a
// NAPTR replacement or of an SRV target, ever leaves this package as anything but text for people.
//
// What is looked up is the maddr parameter of the URI or else its host. An IP address needs no look-up; a
// host name with a port needs addresses only; without a port, NAPTR and SRV records say which transports,
// hosts and ports there are. Addresses are looked for in the hosts file first. A name that stands there is
// still asked for in NAPTR and SRV when the URI has no port, but a DNS that is dead is then no failure.
// The names localhost and those below it never leave the machine.
//
// Answers are kept for their TTL within bounds, and negative ones too. Cached gives what is kept without
// blocking; Resolve asks when nothing is. Many callers with the same question cause one look-up. While no
// DNS server answers, old answers are served past their TTL, up to Config.MaxStale.
package resolve
