//go:build !unix

package transport

import (
	"errors"
	"time"
)

func (s *udpSocket) pause()  { _ = s.conn.SetReadDeadline(past) }
func (s *udpSocket) resume() { _ = s.conn.SetReadDeadline(time.Time{}) }

// Sockets returns an error: sockets are not handed over on this system.
func (t *Transport) Sockets() ([]Socket, error) { return nil, errors.ErrUnsupported }
