package sip

import "errors"

// Limits on what Parse accepts, in bytes. They bound the work and the memory that one message can
// cost; package framing applies the same numbers to streams before a message is complete.
const (
	// MaxStartLine is the longest start line, without its line end.
	MaxStartLine = 8 << 10
	// MaxHeader is the longest header section: all header field lines with their line ends.
	MaxHeader = 32 << 10
	// MaxBody is the longest message body.
	MaxBody = 256 << 10
	// MaxLines is the largest number of header field lines.
	MaxLines = 1024
	// MaxToken is the longest tag, branch, Call-ID, method or host that Validate lets pass.
	MaxToken = 1 << 10
)

var (
	// ErrVersion says that the start line names a version other than SIP/2.0.
	ErrVersion = errors.New("sip: version is not SIP/2.0")
	// ErrTooLong says that a limit of this package was passed.
	ErrTooLong = errors.New("sip: message is too long")
	// ErrContentLength says that Content-Length is malformed, repeated, or larger than the bytes at hand.
	ErrContentLength = errors.New("sip: wrong Content-Length")
)

// SyntaxError says which part of a message broke which rule. It never carries bytes of the message,
// so that its text is safe to log and to send. Depending on the rule, errors.Is finds [ErrVersion],
// [ErrTooLong] or [ErrContentLength] in it.
type SyntaxError struct {
	// Field names the part: a header field name, "start line" or "header section".
	Field string
	// Text says what is wrong with it.
	Text string

	cause error
}

// Error returns the text of the error with the name of the room and the part in front.
func (e *SyntaxError) Error() string { return "sip: " + e.Field + ": " + e.Text }

// Unwrap returns the sentinel that belongs to the error, or nil.
func (e *SyntaxError) Unwrap() error { return e.cause }

// bad makes a SyntaxError.
func bad(field, text string) error { return &SyntaxError{Field: field, Text: text} }

// tooLong makes a SyntaxError that is ErrTooLong.
func tooLong(field, text string) error {
	return &SyntaxError{Field: field, Text: text, cause: ErrTooLong}
}
