package framing

import "bytes"

// Defaults of Limits, in bytes.
const (
	DefaultStartLine = 8 << 10
	DefaultHeader    = 32 << 10
	DefaultBody      = 256 << 10
)

// Limits bounds what one message may take, in bytes. A message that passes one of them is an error as
// soon as that is certain.
type Limits struct {
	// StartLine is the longest start line without its line end. Zero means 8 KiB.
	StartLine int
	// Header is the longest header section: all header field lines with their line ends, without the
	// empty line behind them. Zero means 32 KiB.
	Header int
	// Body is the largest Content-Length. Zero means 256 KiB.
	Body int
}

// Kind says what stands at the start of the bytes that were given to Next.
type Kind uint8

const (
	// More means that nothing is complete yet.
	More Kind = iota
	// Message is a whole message with its body.
	Message
	// Ping is the second CRLF of a pair: a request for a Pong (RFC 5626, Section 3.5.1).
	Ping
	// Pong is one CRLF: the answer to a Ping, or the first half of one.
	Pong
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Message:
		return "message"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return "more"
}

// Decoder cuts one stream. The zero value is ready. It keeps no bytes: it remembers how far it has
// looked, so that bytes which come one at a time are each looked at once. It is owned by the
// goroutine that reads the stream.
//
// The first CRLF of a run between messages is a Pong and the second a Ping, at once and however the bytes
// were split. Two pongs with nothing between them look the same as a ping: who sends pings takes a Ping for
// the answer while one of its own is not answered.
type Decoder struct {
	Limits Limits

	state   state
	crlf    bool // the last unit was a CRLF that was given out as a Pong
	scanned int  // bytes of the unit that have been looked at
	line    int  // where the line begins that is being read
	header  int  // where the header section begins
	body    int  // where the body begins
	size    int  // how long it is

	length  int    // where the value of Content-Length begins; 0: not in such a line
	have    bool   // a Content-Length has been read
	err     error  // what was wrong with it: told at the end of the header section
	errText string //
}

type state uint8

const (
	between   state = iota // before the first byte of a unit
	inMethod               // in the method, or the SIP-Version of a status line
	inStart                // in the rest of the start line
	inHeader               // in the header section
	inBody                 // in the body
	collapsed              // after an error
)

// maxMethod is the longest method in bytes: longer than any that exists, and short enough to refuse
// an endless stream of letters early.
const maxMethod = 256

// InMessage says whether a message has begun and is not complete.
func (d *Decoder) InMessage() bool { return d.state != between && d.state != collapsed }

// InBody says whether the header section is complete and the body is not.
func (d *Decoder) InBody() bool { return d.state == inBody }

// Next looks at the start of buf. When one unit is complete there it returns its kind and its length
// n; the next call must begin behind it. When nothing is complete it returns More, and the next call
// must be given the same bytes with more behind them. It keeps nothing of buf and changes nothing in
// it.
//
// An error is an *[Error], and the end of the stream: every later call returns it again, without
// Head.
func (d *Decoder) Next(buf []byte) (k Kind, n int, err error) {
	if d.state == between {
		if len(buf) == 0 {
			return More, 0, nil
		}
		if buf[0] == '\r' || buf[0] == '\n' {
			return d.keepalive(buf)
		}
		d.state = inMethod
	}
	if d.state == inMethod && !d.method(buf) || d.state == inStart && !d.startLine(buf) ||
		d.state == inHeader && !d.headerLines(buf) {
		return More, 0, d.failure(buf)
	}
	if d.state == collapsed {
		return More, 0, &Error{Text: d.errText, cause: d.err}
	}
	if len(buf)-d.body < d.size {
		return More, 0, nil
	}
	n = d.body + d.size
	d.reset()
	return Message, n, nil
}

func (d *Decoder) reset() { *d = Decoder{Limits: d.Limits} }

// keepalive reads one CRLF.
func (d *Decoder) keepalive(buf []byte) (Kind, int, error) {
	switch {
	case buf[0] == '\r' && len(buf) == 1:
		return More, 0, nil
	case buf[0] == '\n' || buf[1] != '\n':
		d.fail(ErrLineEnd, "bare CR or LF between messages")
		return More, 0, d.failure(nil)
	case d.crlf:
		d.crlf = false
		return Ping, 2, nil
	}
	d.crlf = true
	return Pong, 2, nil
}

// fail ends the stream.
func (d *Decoder) fail(cause error, text string) {
	d.state, d.err, d.errText = collapsed, cause, text
}

// failure returns the error if there was one, with what can be answered.
func (d *Decoder) failure(buf []byte) error {
	if d.state != collapsed {
		return nil
	}
	limit := d.header + d.limit(d.Limits.Header, DefaultHeader)
	return &Error{Text: d.errText, cause: d.err, Head: head(buf, limit)}
}

func (d *Decoder) limit(set, byDefault int) int {
	if set > 0 {
		return set
	}
	return byDefault
}

// lineEnd returns the length of buf up to and with the next LF; 0 when there is none yet, or after it
// has failed. limit is where the line must have ended.
func (d *Decoder) lineEnd(buf []byte, limit int, what string) int {
	i := bytes.IndexByte(buf[d.scanned:], '\n')
	if i < 0 {
		d.scanned = len(buf)
		if len(buf) > limit+2 {
			d.fail(ErrTooLong, what+" too long")
		}
		return 0
	}
	end := d.scanned + i + 1
	switch line := buf[d.line:end]; {
	case end > limit+2:
		d.fail(ErrTooLong, what+" too long")
		return 0
	case bytes.IndexByte(line, '\r') != len(line)-2 || len(line) < 2:
		d.fail(ErrLineEnd, "bare CR or LF in the "+what)
		return 0
	}
	d.scanned = end
	return end
}

// headerLines reads header field lines up to the empty one. It returns false when that has not come,
// or after it has failed.
func (d *Decoder) headerLines(buf []byte) bool {
	limit := d.header + d.limit(d.Limits.Header, DefaultHeader)
	if d.wholeHeader(buf, limit) {
		return d.beginBody()
	}
	for {
		end := d.lineEnd(buf, limit, "header section")
		if end == 0 {
			return false
		}
		line := buf[d.line:end]
		if line[0] != ' ' && line[0] != '\t' {
			if d.length > 0 {
				d.contentLength(buf[d.length:d.line])
				d.length = 0
			}
			if v := lengthValue(line); v > 0 {
				d.length = d.line + v
			}
		}
		d.line = end
		if len(line) == 2 {
			d.body = end
			return d.beginBody()
		}
		if end > limit {
			d.fail(ErrTooLong, "header section too long")
			return false
		}
	}
}

// wholeHeader reads what is left of the header section at once, when all of it is there and looks as it mostly does.
// It returns false and has changed nothing when headerLines has to look at each line for itself.
func (d *Decoder) wholeHeader(buf []byte, limit int) bool {
	if d.scanned != d.line || d.length > 0 || d.err != nil {
		return false
	}
	pos, lines := d.line, 0
	var value []byte // of Content-Length
	for {
		n := bytes.IndexByte(buf[pos:], '\n')
		if n < 1 || buf[pos+n-1] != '\r' || pos > limit {
			return false
		}
		lines++
		if n == 1 {
			break
		}
		line := buf[pos : pos+n+1]
		pos += len(line)
		if c := line[0] | 0x20; c != 'c' && c != 'l' {
			continue
		}
		if v := lengthValue(line); v > 0 {
			if value != nil || d.have || pos == len(buf) || buf[pos] == ' ' || buf[pos] == '\t' {
				return false // repeated or folded
			}
			value = line[v:]
		}
	}
	pos += len("\r\n")
	if bytes.Count(buf[d.line:pos], []byte{'\r'}) != lines {
		return false // a bare CR
	}
	if value != nil {
		d.contentLength(value)
	}
	d.scanned, d.line, d.body = pos, pos, pos
	return true
}

// beginBody judges Content-Length, which must be there: RFC 3261, Section 18.3.
func (d *Decoder) beginBody() bool {
	switch {
	case d.err != nil:
		d.state = collapsed
	case !d.have:
		d.fail(ErrLength, "no Content-Length")
	default:
		d.state = inBody
		return true
	}
	return false
}

// contentLength reads the value of one Content-Length with its folding: digits and nothing else.
func (d *Decoder) contentLength(v []byte) {
	v = bytes.Trim(v, " \t\r\n")
	limit := d.limit(d.Limits.Body, DefaultBody)
	n := 0
	for _, c := range v {
		if c < '0' || c > '9' {
			d.err, d.errText = ErrLength, "Content-Length is not a number"
			return
		}
		if n <= limit {
			n = n*10 + int(c-'0')
		}
	}
	switch {
	case d.err != nil:
	case len(v) == 0:
		d.err, d.errText = ErrLength, "Content-Length is empty"
	case d.have:
		d.err, d.errText = ErrLength, "Content-Length is repeated"
	case n > limit:
		d.err, d.errText = ErrTooLong, "body too long"
	}
	d.have, d.size = true, n
}

// lengthValue returns where the value begins when the line is a Content-Length, long or compact, else
// 0. White space may stand before the colon (RFC 3261, Section 25.1).
func lengthValue(line []byte) int {
	const long = "content-length"
	n := 0
	switch {
	case line[0]|0x20 == 'l':
		n = 1
	case len(line) > len(long) && foldedPrefix(line, long):
		n = len(long)
	default:
		return 0
	}
	for n < len(line) && (line[n] == ' ' || line[n] == '\t') {
		n++
	}
	if n == len(line) || line[n] != ':' {
		return 0
	}
	return n + 1
}

func foldedPrefix(b []byte, lower string) bool {
	for i := 0; i < len(lower); i++ {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
