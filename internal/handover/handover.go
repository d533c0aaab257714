// Package handover gives the sockets of a running process to the process that follows it: upgrade in place.
//
// The old process starts the new one with its listening sockets as inherited descriptors, tells it over a socket pair what
// they are, and waits. The new one opens what it needs and says that it is ready; only then does the old one stop
// reading and let it begin. Whatever goes wrong before the new one says that it serves leaves the old one as it was.
// A second socket pair stays open between them for as long as the old one lives, for whatever they have to say to each other.
//
//	old                                new
//	starts it, sends {"sockets"} --->  opens, takes the sockets that it wants
//	                             <---  {"step":"ready"}
//	pauses, sends {"step":"go"}  --->  runs
//	                             <---  {"step":"serving"}
//	hands over, and says so to
//	systemd; {"step":"yours"}    --->  is the one that systemd watches
package handover

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Env is the variable that tells a process that it follows another one.
const Env = "TANDEM_HANDOVER"

// The descriptors of a process that follows another one.
const (
	controlFD = 3
	relayFD   = 4
	firstFD   = 5 // of the sockets
)

// The steps, in their order.
const (
	stepReady   = "ready"
	stepGo      = "go"
	stepServing = "serving"
	stepYours   = "yours"
)

// message is what the two say to each other, one JSON object a line.
type message struct {
	Step    string          `json:"step,omitempty"`
	All     bool            `json:"all,omitempty"`     // of ready: where a listener has several sockets, all are read
	Sockets []string        `json:"sockets,omitempty"` // in the order of the descriptors
	Note    json.RawMessage `json:"note,omitempty"`
}

// maxMessage bounds a message, in bytes. What is longest has the names of all listeners.
const maxMessage = 1 << 20

// ErrEnded says that the other process ended, or closed what was between them.
var ErrEnded = errors.New("handover: the other process has ended")

// wire is one end of the socket pair for messages.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

func newWire(c net.Conn) *wire {
	return &wire{c, bufio.NewReader(io.LimitReader(c, maxMessage))}
}

func (w *wire) send(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("handover: %w", err)
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := w.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return nil
}

// receive returns the next message. It waits until the deadline.
func (w *wire) receive(by time.Time) (m message, err error) {
	_ = w.conn.SetReadDeadline(by)
	line, err := w.in.ReadBytes('\n')
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return m, fmt.Errorf("handover: %w", err)
	case err != nil:
		return m, ErrEnded
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("handover: %w", err)
	}
	return m, nil
}

// expect waits for a step.
func (w *wire) expect(step string, by time.Time) (message, error) {
	m, err := w.receive(by)
	if err == nil && m.Step != step {
		err = fmt.Errorf("handover: the other process said %q instead of %q: it may be another version", m.Step, step)
	}
	return m, err
}

// connOf makes a connection of an inherited descriptor, and closes the file.
func connOf(f *os.File) (net.Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	return c, nil
}
