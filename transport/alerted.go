package transport

import (
	"errors"
	"net"
	"strings"
)

// RemoteAlert returns the words of the alert by which the far end ended TLS, such as "unknown certificate authority",
// and false when err is something else. Whoever dials with TLS 1.3 is refused only after its own handshake has ended.
func RemoteAlert(err error) (words string, ok bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" { // how crypto/tls marks them
		return "", false
	}
	return strings.TrimPrefix(op.Err.Error(), "tls: "), true
}

// tellRefused tells of an accepted connection whose handshake failed.
func (t *Transport) tellRefused(at net.Addr, sh *handshake, err error) {
	if t.cfg.Refused == nil {
		return
	}
	if sh.bad != nil {
		err = sh.bad
	}
	t.protect(func() { t.cfg.Refused(unmap(at), sh.names, err) })
}

// tellAlerted tells of a connection that the far end has ended by an alert.
func (c *Conn) tellAlerted(err error) {
	if _, alert := RemoteAlert(err); !alert || c.t.cfg.Alerted == nil {
		return
	}
	c.t.protect(func() { c.t.cfg.Alerted(c.info(), err) })
}
