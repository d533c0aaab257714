package sctp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// scratchSize is how much is read from the kernel at once, when it is not certain for whom it is.
const scratchSize = 4096

// kernelAssociation is one association of the kernel. It has no goroutine: whoever wants something of it reads
// for all.
type kernelAssociation struct {
	kernel        *kernel
	listener      *Listener // nil: it was dialed
	file          *os.File
	raw           syscall.RawConn
	local, remote netip.AddrPort
	done          chan struct{}
	reading       chan struct{} // holds an element while somebody reads the socket
	writing       chan struct{} // holds an element while somebody writes to it

	// owned by whoever reads
	control []byte
	scratch []byte
	lost    bool // the kernel said that the association is gone; why comes behind it

	// mu guards the fields below.
	mu      sync.Mutex
	err     error
	leaving bool // Shutdown was called
	leader  *turn
	streams map[uint16]*kernelStream
	arrived chan *kernelStream // streams that the peer opened
}

// turn is somebody's wish to read the socket, until a time. kernelAssociation.mu guards it.
type turn struct{ until time.Time }

// newAssociation makes an association of a socket that the kernel has accepted.
func (k *kernel) newAssociation(fd int, l *Listener) (*kernelAssociation, error) {
	file := os.NewFile(uintptr(fd), "sctp")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return k.adopt(file, raw, l)
}

// adopt makes an association of a socket.
func (k *kernel) adopt(file *os.File, raw syscall.RawConn, l *Listener) (*kernelAssociation, error) {
	a := &kernelAssociation{
		kernel: k, listener: l, file: file, raw: raw, done: make(chan struct{}),
		reading: make(chan struct{}, 1), writing: make(chan struct{}, 1), control: make([]byte, 128), scratch: make([]byte, scratchSize),
		streams: make(map[uint16]*kernelStream), arrived: make(chan *kernelStream, k.cfg.Streams),
	}
	var err error
	failed := raw.Control(func(fd uintptr) {
		var sa unix.Sockaddr
		if sa, err = unix.Getsockname(int(fd)); err != nil {
			return
		}
		a.local = k.first(addrPort(sa))
		if sa, err = unix.Getpeername(int(fd)); err == nil {
			a.remote = addrPort(sa)
		}
	})
	if failed != nil || err != nil {
		file.Close()
		return nil, errors.Join(failed, kernelError(err))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		file.Close()
		return nil, net.ErrClosed
	}
	k.all[a] = true
	return a, nil
}

// end ends the association once. It gives the socket back to the kernel, unless another association has it now.
func (a *kernelAssociation) end(err error, release bool) {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return
	}
	if a.leaving && errors.Is(err, io.EOF) {
		err = errEnded
	}
	a.err = err
	a.mu.Unlock()
	k := a.kernel
	k.mu.Lock()
	delete(k.all, a)
	k.mu.Unlock()
	k.countEnd(err)
	close(a.done)
	if release {
		a.file.Close()
	}
}

// receive reads a message or the next piece of one into b, which has room for scratchSize bytes at least;
// whole tells whether that was the end of the message. What the kernel tells beside messages is dealt with here.
func (a *kernelAssociation) receive(b []byte) (n int, stream uint16, whole bool, err error) {
	for {
		var beside, flags int
		failed := a.raw.Read(func(fd uintptr) bool {
			for {
				if n, beside, flags, _, err = unix.Recvmsg(int(fd), b, a.control, 0); !errors.Is(err, unix.EINTR) {
					return !errors.Is(err, unix.EAGAIN)
				}
			}
		})
		switch {
		case errors.Is(failed, os.ErrDeadlineExceeded):
			return 0, 0, false, failed
		case failed != nil:
			a.end(errEnded, true)
			return 0, 0, false, a.Err()
		case err != nil:
			a.end(kernelError(os.NewSyscallError("recvmsg", err)), true)
			return 0, 0, false, a.Err()
		case flags&flagNotification != 0:
			if a.notified(b[:n]) {
				return 0, 0, false, a.Err()
			}
		case n == 0:
			end := io.EOF
			if a.lost {
				end = ErrAborted
			}
			a.end(end, true)
			return 0, 0, false, a.Err()
		default:
			return n, receivedStream(a.control[:beside]), flags&unix.MSG_EOR != 0, nil
		}
	}
}

// notified handles what the kernel tells beside messages, and says whether the association has ended by it.
func (a *kernelAssociation) notified(b []byte) bool {
	if len(b) < 10 {
		return false
	}
	switch kind := native.Uint16(b); {
	case kind == eventAssociation && native.Uint16(b[8:]) == associationLost:
		a.lost = true
	case kind == eventAssociation && native.Uint16(b[8:]) == associationReborn:
		a.restart()
		return true
	case kind == eventAssociation && native.Uint16(b[8:]) == associationShut:
		a.end(io.EOF, true)
		return true
	case kind == eventPeerAddress && len(b) >= 140 && a.kernel.cfg.PathChange != nil:
		address, state := readSockaddr(b[8:136]), native.Uint32(b[136:])
		up := state == addressAvailable || state == addressConfirmed
		if address.IsValid() && (up || state == addressUnreachable || state == addressRemoved) {
			a.kernel.cfg.PathChange(a, address, up)
		}
	}
	return false
}

// restart hands the socket to a new association: the peer began anew on it.
func (a *kernelAssociation) restart() {
	a.writing <- struct{}{} // nobody writes to the new one for the old one
	a.end(ErrRestarted, false)
	<-a.writing
	_ = a.file.SetReadDeadline(time.Time{})
	b, err := a.kernel.adopt(a.file, a.raw, a.listener)
	if err != nil {
		return
	}
	if a.listener == nil || !a.kernel.hand(b, a.listener) {
		b.Abort("")
		return
	}
	a.kernel.accepted.Add(1)
}

// Serve implements Association.
func (a *kernelAssociation) Serve(handle func(message []byte, stream uint16)) error {
	select {
	case a.reading <- struct{}{}:
		defer func() { <-a.reading }()
	case <-a.done:
		return a.Err()
	}
	buf, have := make([]byte, scratchSize), 0
	for {
		n, stream, whole, err := a.receive(buf[have:])
		if err != nil {
			if a.Err() == nil { // a deadline that somebody left behind
				_ = a.file.SetReadDeadline(time.Time{})
				continue
			}
			return a.Err()
		}
		have += n
		if have > a.kernel.cfg.MaxMessage {
			a.abort(fmt.Errorf("%w: message too long", ErrViolation))
			return a.Err()
		}
		if whole {
			handle(buf[:have], stream)
			have = 0
		}
		if len(buf)-have < scratchSize {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// Send implements Association.
func (a *kernelAssociation) Send(ctx context.Context, message []byte, stream uint16, unordered bool) error {
	if int(stream) >= a.kernel.cfg.Streams {
		return fmt.Errorf("%w: %d", ErrStream, stream)
	}
	return a.send(ctx, nil, message, stream, unordered)
}

// send sends one message, and waits until ctx ends or the channel is closed.
func (a *kernelAssociation) send(ctx context.Context, late <-chan struct{}, b []byte, stream uint16, unordered bool) error {
	if len(b) == 0 || len(b) > a.kernel.cfg.MaxMessage {
		return fmt.Errorf("%w: %d bytes, and not from 1 to %d", ErrLength, len(b), a.kernel.cfg.MaxMessage)
	}
	select {
	case <-a.done:
		return a.Err()
	case <-late:
		return fmt.Errorf("sctp: write: %w", os.ErrDeadlineExceeded)
	default:
	}
	select {
	case a.writing <- struct{}{}:
		defer func() { <-a.writing }()
	case <-a.done:
		return a.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return fmt.Errorf("sctp: write: %w", os.ErrDeadlineExceeded)
	}
	if err := a.Err(); err != nil {
		return err
	}
	beside := sendInfo(stream, unordered)
	var err error
	wait := false // the first attempt does not
	attempt := func(fd uintptr) bool {
		for {
			if _, err = unix.SendmsgN(int(fd), b, beside, nil, unix.MSG_NOSIGNAL); !errors.Is(err, unix.EINTR) {
				return !wait || !errors.Is(err, unix.EAGAIN)
			}
		}
	}
	failed := a.raw.Write(attempt)
	if failed == nil && errors.Is(err, unix.EAGAIN) {
		wait = true
		finished, watched := make(chan struct{}), make(chan struct{})
		// Ends when the message is sent, or will not be.
		go func() {
			defer close(watched)
			select {
			case <-ctx.Done():
			case <-late:
			case <-finished:
				return
			}
			_ = a.file.SetWriteDeadline(time.Unix(1, 0))
		}()
		failed = a.raw.Write(attempt)
		close(finished)
		<-watched
		_ = a.file.SetWriteDeadline(time.Time{})
	}
	switch {
	case a.Err() != nil && (failed != nil || err != nil):
		return a.Err()
	case failed != nil && ctx.Err() != nil:
		return ctx.Err()
	case failed != nil:
		return fmt.Errorf("sctp: write: %w", failed)
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ESHUTDOWN):
		return fmt.Errorf("sctp: association is being shut down: %w", net.ErrClosed)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %d", ErrStream, stream)
	case err != nil:
		return kernelError(os.NewSyscallError("sendmsg", err))
	}
	return nil
}

// Shutdown implements Association.
func (a *kernelAssociation) Shutdown(ctx context.Context) error {
	a.mu.Lock()
	a.leaving = true
	a.mu.Unlock()
	var err error
	if failed := a.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) }); failed != nil || err != nil {
		a.end(errEnded, true)
	}
	for a.Err() == nil && ctx.Err() == nil {
		select {
		case a.reading <- struct{}{}: // nobody else sees the end come
			a.drain(ctx)
			<-a.reading
		case <-a.done:
		case <-ctx.Done():
		}
	}
	if a.Err() == nil {
		a.abort(errEnded)
		return ctx.Err()
	}
	if err := a.Err(); !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// drain reads to the end of the association, and throws away what comes.
func (a *kernelAssociation) drain(ctx context.Context) {
	_ = a.file.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = a.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		if _, _, _, err := a.receive(a.scratch); err != nil {
			return
		}
	}
}

// Abort implements Association. The kernel sends no reason for sockets of one association.
func (a *kernelAssociation) Abort(string) { a.abort(errEnded) }

// abort ends the association with an error.
func (a *kernelAssociation) abort(err error) {
	if a.Err() != nil {
		return
	}
	_ = a.raw.Control(func(fd uintptr) { // closing then aborts
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	a.end(err, true)
}

// Done implements Association. The end is seen by who reads.
func (a *kernelAssociation) Done() <-chan struct{} { return a.done }

// Err implements Association.
func (a *kernelAssociation) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// LocalAddr implements Association.
func (a *kernelAssociation) LocalAddr() netip.AddrPort { return a.local }

// RemoteAddr implements Association.
func (a *kernelAssociation) RemoteAddr() netip.AddrPort { return a.remote }
