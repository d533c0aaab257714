//go:build unix && !linux

package transport

import "time"

// pause has nobody read the socket any more, and resume has it read again.
func (s *udpSocket) pause()  { _ = s.conn.SetReadDeadline(past) }
func (s *udpSocket) resume() { _ = s.conn.SetReadDeadline(time.Time{}) }

// control calls f with the descriptor of the socket.
func (s *udpSocket) control(f func(fd int) error) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, f)
}
