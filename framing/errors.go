package framing

import "errors"

var (
	// ErrLength says that Content-Length is missing, repeated or not a number.
	ErrLength = errors.New("framing: wrong Content-Length")
	// ErrTooLong says that the start line, the header section or the body is longer than its limit.
	ErrTooLong = errors.New("framing: message is too long")
	// ErrNotSIP says that the stream carries another protocol, or none.
	ErrNotSIP = errors.New("framing: not SIP")
	// ErrLineEnd says that a line ended in a bare CR or a bare LF.
	ErrLineEnd = errors.New("framing: line not ended by CRLF")
)

// Error says why a stream cannot be cut any further. errors.Is finds one of the sentinels of this
// package in it. Its text holds no bytes of the stream.
type Error struct {
	// Text says what was wrong.
	Text string
	// Head is what can be used of the header section to answer the sender: a start line and complete
	// header field lines, each ended by CRLF, and an empty line; nil when there is no such thing. It
	// is a copy. Lines that were themselves ended wrongly are mended or left out.
	Head []byte

	cause error
}

// Error returns the text with the name of the room in front.
func (e *Error) Error() string { return "framing: " + e.Text }

// Unwrap returns the sentinel that belongs to the error.
func (e *Error) Unwrap() error { return e.cause }
