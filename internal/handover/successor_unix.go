//go:build unix

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is one that the new process inherits. FD stays the caller's.
type Socket struct {
	Name string
	FD   int
}

// Successor is the process that follows this one, as this one sees it.
type Successor struct {
	// PID is its process id.
	PID int
	// Relay is between the two for as long as this one lives.
	Relay net.Conn

	wire    *wire
	several bool          // a listener has more than one socket
	ended   chan struct{} // closed when it has ended
	how     string        // set before ended is closed
}

// Start starts the program at path with the arguments that this process has, and with the sockets. note is told to it.
func Start(path string, sockets []Socket, note any) (*Successor, error) {
	control, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(theirs) }()
	relay, theirRelay, err := pair()
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	defer func() { _ = unix.Close(theirRelay) }()
	files := []uintptr{0, 1, 2, uintptr(theirs), uintptr(theirRelay)}
	first, several := message{}, false
	for _, s := range sockets {
		several = several || slices.Contains(first.Sockets, s.Name)
		files = append(files, uintptr(s.FD))
		first.Sockets = append(first.Sockets, s.Name)
	}
	if first.Note, err = json.Marshal(note); err != nil {
		return nil, fmt.Errorf("handover: %w", errors.Join(err, control.Close(), relay.Close()))
	}
	// Not os.StartProcess: it would make the sockets blocking, for this process too.
	pid, err := syscall.ForkExec(path, os.Args, &syscall.ProcAttr{Env: environment(), Files: files})
	if err != nil {
		return nil, fmt.Errorf("handover: cannot start %s: %w", path, errors.Join(err, control.Close(), relay.Close()))
	}
	s := &Successor{PID: pid, Relay: relay, wire: newWire(control), several: several, ended: make(chan struct{})}
	// Ends when that process does, or with this one.
	go s.reap()
	if err := s.wire.send(first); err != nil {
		return nil, s.failed(err)
	}
	return s, nil
}

// pair returns a socket pair: one end as a connection, the other as a descriptor.
func pair() (net.Conn, int, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, 0, fmt.Errorf("handover: %w", err)
	}
	c, err := connOf(os.NewFile(uintptr(fds[0]), "handover"))
	if err != nil {
		_ = unix.Close(fds[1])
	}
	return c, fds[1], err
}

// keepToSelf keeps a descriptor from the processes that this one starts.
func keepToSelf(fd int) { unix.CloseOnExec(fd) }

// environment is that of this process, without what a service manager said to it alone.
func environment() []string {
	env := []string{Env + "=1"}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case Env, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID":
		default:
			env = append(env, e)
		}
	}
	return env
}

func (s *Successor) reap() {
	defer close(s.ended)
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(s.PID, &status, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if status.Signaled() {
		s.how = "it was ended by the signal " + status.Signal().String()
		return
	}
	s.how = fmt.Sprintf("it ended with the exit code %d", status.ExitStatus())
}

// Ready waits until the new process has opened what it needs.
func (s *Successor) Ready(ctx context.Context) error {
	m, err := s.await(ctx, stepReady, Patience)
	if err == nil && s.several && !m.All {
		err = s.failed(errors.New("handover: the new process is of a version that reads one socket of a UDP listener, and there are several: restart in its place"))
	}
	return err
}

// Begin lets the new process serve, and waits until it does. This one must not read from the sockets any more.
func (s *Successor) Begin(ctx context.Context) error {
	if err := s.wire.send(message{Step: stepGo}); err != nil {
		return s.failed(err)
	}
	_, err := s.await(ctx, stepServing, 5*time.Second)
	return err
}

// Yield says to the new process that it is on its own now.
func (s *Successor) Yield() error {
	err := s.wire.send(message{Step: stepYours})
	return errors.Join(err, s.wire.conn.Close())
}

// await waits for a step. After an error the new process is gone.
func (s *Successor) await(ctx context.Context, step string, within time.Duration) (message, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.wire.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	m, err := s.wire.expect(step, time.Now().Add(within))
	if ctx.Err() != nil {
		err = fmt.Errorf("handover: %w", ctx.Err())
	}
	if err != nil {
		err = s.failed(err)
	}
	return m, err
}

// failed ends the new process and says what became of it.
func (s *Successor) failed(err error) error {
	if errors.Is(err, ErrEnded) { // how it ended is worth a moment
		select {
		case <-s.ended:
		case <-time.After(time.Second):
		}
	}
	s.Kill()
	if errors.Is(err, ErrEnded) {
		return fmt.Errorf("handover: the new process did not come up: %s; its log says why", s.how)
	}
	return err
}

// Kill ends the new process, whatever it does, and waits for its end.
func (s *Successor) Kill() {
	select {
	case <-s.ended:
	default:
		_ = syscall.Kill(s.PID, syscall.SIGKILL)
		<-s.ended
	}
	_ = s.wire.conn.Close()
	_ = s.Relay.Close()
}
