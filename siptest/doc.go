// Package siptest is the test bench, as httptest is to http: a certificate authority, a DNS server and
// scripted SIP endpoints, all on real sockets of the loopback network.
//
// Only tests may import it. What goes wrong ends the test, with the messages that were on the wire;
// nothing needs to be closed, for everything ends with the test that made it. Loopback gives each test
// addresses of its own, so that tests with fixed ports run side by side.
//
// The bench reads streams and writes messages by itself as far as it can, and shares with the library only
// the parser of messages: a fault of the library shall not hide by being on both ends.
package siptest
