// Package proxy decides what becomes of a request: it is the proxy core of RFC 3261, Section 16, on top of a
// transaction layer.
//
// The files follow the chapter: validate.go (16.3), preprocess.go (16.4), targets.go (16.5), forward.go and
// attempt.go (16.6), responses.go and best.go (16.7), timer.go (16.8), errors.go (16.9), cancel.go (16.10) and
// stateless.go (16.11, for the ACK to a 2xx, which belongs to no transaction). Beside them: access.go (who may
// send what where), token.go (the signature that lets the other side of a dialog come back), loop.go and
// breadth.go (RFC 5393), recordroute.go (RFC 5658) and local.go (what is answered here).
//
// A Core is the transaction.User of one transaction layer. It owns no socket and starts no goroutine. The
// goroutine that brings a message carries it through; whatever may block (looking up a name, dialing) is asked of
// the Network with a callback. Each request that is forwarded has a ResponseContext with one lock, and that lock
// is never held while another room is called.
package proxy
