// Package transaction has the four transaction state machines of SIP with their timers, and the layer
// that matches messages to them: RFC 3261, Section 17 as corrected by RFC 6026, with what RFC 4320 asks
// of requests other than INVITE.
//
// A machine is a small value that takes an event and the time and says what to do next: it reads no
// clock, sends nothing and never waits. Each stands in a file named for its section (client_invite.go,
// client_noninvite.go, server_invite.go, server_noninvite.go) and is tested by the scripts in testdata.
//
// A Layer holds the transactions of one SIP element. The goroutine that read a message calls
// Layer.Receive, and everything that follows from the message happens on that goroutine: matching, the
// step of the machine, what is sent, and the call into the transaction user (User for requests,
// ClientUser for responses). What follows from a timer happens on the goroutine that runs Layer.Run. A
// transaction has no goroutine of its own.
//
// While a transaction is at work it is a Server or a Client. What has its final response and only waits for
// the end of its last timer, which may be half a minute, is a record of a few words without a pointer
// (finished.go); requests and responses find it by a keyed digest of what they are matched by.
//
// # Locks
//
// The transactions are spread over shards by a keyed hash of their branch. The one lock of this package
// is that of a shard; it guards the shard's tables and timers and the transactions in it. It is held for
// a look-up and a step, never across Flow.Send, a call of a user or a hook, and never together with
// another lock.
//
// # Order
//
// Because sending and calling happen after the lock is given back, two goroutines could overtake each
// other. They can't: under the lock the order of the steps is the order in which each transaction's
// work is queued, and the first goroutine that finds a queue idle works it off for all. So the responses
// of one server transaction leave in the order in which they were given to Respond, and the user of one
// client transaction sees its responses, and at the end possibly a failure, one after the other.
package transaction
