package siptest

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"strings"
)

// cutMessage takes the first message off the bytes of a stream, or a keep-alive: its CRLFs are a message
// of their own. A message without Content-Length is taken to have no body.
func cutMessage(buf []byte) (raw string, rest []byte, ok bool) {
	switch {
	case bytes.HasPrefix(buf, []byte("\r\n\r\n")): // ping: RFC 5626, Section 3.5.1
		return "\r\n\r\n", buf[4:], true
	case bytes.HasPrefix(buf, []byte("\r\n")) && (len(buf) == 2 || buf[2] != '\r'): // pong
		return "\r\n", buf[2:], true
	case len(buf) > 0 && buf[0] == '\r':
		return "", buf, false
	}
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	if end < 0 {
		return "", buf, false
	}
	size := end + 4
	for _, line := range strings.Split(string(buf[:end]), "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "content-length", "l":
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n > 0 {
				size += n
			}
		}
	}
	if len(buf) < size {
		return "", buf, false
	}
	return string(buf[:size]), buf[size:], true
}

// isClosed tells whether reading failed because this side closed.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
