package framing

import "bytes"

// tokenChars are the characters of a method: the token of RFC 3261, Section 25.1.
var tokenChars = func() (t [256]bool) {
	for _, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.!%*_+`'~") {
		t[c] = true
	}
	return t
}()

// method reads the first word of the start line: a token and a space, or "SIP/". It returns false
// when neither is complete, or after it has failed.
func (d *Decoder) method(buf []byte) bool {
	i := d.scanned
	for i < len(buf) && i <= maxMethod && tokenChars[buf[i]] {
		i++
	}
	d.scanned = i
	switch {
	case i > maxMethod:
		d.fail(ErrNotSIP, "does not begin with a method")
	case i == len(buf):
	case i > 0 && buf[i] == ' ', i == 3 && buf[i] == '/' && foldedPrefix(buf, "sip"):
		d.state = inStart
		return true
	case buf[i] == '\r' && i > 0 && i+1 == len(buf):
		// One more byte says what is wrong with it, so that the answer is the same however it was split.
	case buf[i] == '\n' || buf[i] == '\r' && buf[min(i+1, len(buf)-1)] != '\n':
		d.fail(ErrLineEnd, "bare CR or LF in the start line")
	default:
		d.fail(ErrNotSIP, "does not begin with a method")
	}
	return false
}

// startLine reads the start line to its end and refuses what no SIP element would send. What is SIP
// with mistakes passes: the parser can tell the sender. It returns false when the line is not
// complete, or after it has failed.
func (d *Decoder) startLine(buf []byte) bool {
	end := d.lineEnd(buf, d.limit(d.Limits.StartLine, DefaultStartLine), "start line")
	if end == 0 {
		return false
	}
	if line := buf[:end-2]; !requestLine(line) && !statusLine(line) {
		d.fail(ErrNotSIP, "start line is not of SIP")
		return false
	}
	d.state, d.line, d.header = inHeader, end, end
	return true
}

// requestLine says whether the last word of the line names a SIP version.
func requestLine(line []byte) bool {
	if line[0] != 'S' && bytes.HasSuffix(line, []byte(" SIP/2.0")) {
		return true
	}
	line = bytes.TrimRight(line, " \t")
	last := line[bytes.LastIndexByte(line, ' ')+1:]
	return len(last) < len(line) && len(last) > 4 && foldedPrefix(last, "sip/") && !bytes.HasPrefix(line, []byte("SIP/"))
}

// statusLine says whether the line is a SIP version and a number.
func statusLine(line []byte) bool {
	if len(line) < 4 || !foldedPrefix(line, "sip/") {
		return false
	}
	sp := bytes.IndexByte(line, ' ')
	if sp < 0 || sp+1 == len(line) {
		return false
	}
	c := line[sp+1]
	return '0' <= c && c <= '9'
}
