package proxy

import (
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// StatusError is an error that ends in a SIP response. No other room chooses a status.
type StatusError struct {
	Status  int        // 300 to 699
	Reason  string     // reason phrase; "" for the usual one
	Warning string     // text for a Warning header field with code 399; "" for none
	Headers []sip.Line // further header fields of the response
	Err     error      // the cause; may be nil
}

// Error returns the status with what went wrong.
func (e *StatusError) Error() string {
	var b strings.Builder
	b.WriteString("proxy: ")
	b.WriteString(strconv.Itoa(e.Status))
	b.WriteByte(' ')
	b.WriteString(e.phrase())
	if e.Warning != "" {
		b.WriteString(": ")
		b.WriteString(e.Warning)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *StatusError) Unwrap() error { return e.Err }

func (e *StatusError) phrase() string {
	if e.Reason != "" {
		return e.Reason
	}
	return sip.ReasonPhrase(e.Status)
}

func statusError(status int, warning string) *StatusError {
	return &StatusError{Status: status, Warning: warning}
}

// lines returns the header fields of the response, the Warning first.
func (e *StatusError) lines(agent string) []sip.Line {
	if e.Warning == "" {
		return e.Headers
	}
	l := make([]sip.Line, 0, 1+len(e.Headers))
	return append(append(l, sip.Line{Name: "Warning", Value: warning(399, agent, e.Warning)}), e.Headers...)
}

const (
	maxWarning  = 200 // bytes of a Warning's text, escapes counted
	maxPeerText = 64  // bytes of text that came from a peer and is shown again
)

// warning writes a Warning value (RFC 3261, Section 20.43): a code, who says it, and a quoted text.
func warning(code int, agent, text string) string {
	b := make([]byte, 0, 16+len(agent)+len(text))
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ' ')
	b = append(b, agent...)
	b = append(b, ' ', '"')
	b = appendQuoted(b, text, maxWarning)
	return string(append(b, '"'))
}

// appendQuoted appends text as the inside of a quoted string of at most limit bytes. What is no printable ASCII
// becomes a question mark, so that nothing from outside can end the line or the string.
func appendQuoted(dst []byte, text string, limit int) []byte {
	n := 0
	for _, r := range text {
		w := 1
		if r == '"' || r == '\\' {
			w = 2
		}
		if n += w; n > limit {
			break
		}
		switch {
		case w == 2:
			dst = append(dst, '\\', byte(r))
		case r < 0x20 || r > 0x7e:
			dst = append(dst, '?')
		default:
			dst = append(dst, byte(r))
		}
	}
	return dst
}

// shown cuts text that came from a peer to what fits a log line or a Warning.
func shown(s string) string {
	if len(s) > maxPeerText {
		return s[:maxPeerText] + "..."
	}
	return s
}
