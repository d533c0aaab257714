// Package conformance probes any SIP element from outside for what RFC 5923 and RFC 5922 ask of it: one case
// for each clause, named by its id in the ledger, such as 5923-8.2-4.
//
// The prober plays every other part. As a TLS client it dials the target with certificates of every kind and
// offers its connections for reuse in every way; as a TLS server it presents certificates of every kind to
// what the target dials. Then it has the target send a request towards one of the prober's own names, and sees
// which connection that takes. It judges nothing but what is on the wire, and knows nothing of the target's
// tables.
//
// What has to be true of the target is little: it trusts the prober's authority, finds the prober's names at
// the prober's address, and forwards what the trigger asks for. See [Prober.Setup], which says it in words.
package conformance
