package node

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transport"
)

// The relay: two processes have one UDP socket, and only the new one reads it. A datagram that belongs to no transaction
// there is given to the old one; that handles it when it has the transaction, and else gives it back, so
// that the new one begins something with it. The order is kept: an INVITE comes back before its CANCEL.
//
// A frame is its length (4 bytes), the source and the local address (18 bytes each) and the datagram. One that is
// empty says that no more will come.

const (
	relayHead = 4 + 2*18
	// relayQueue is how many datagrams may wait for the old process; more are taken as new.
	relayQueue = 4096
	// relayWrite bounds how long a write may take: a process that does not read has ended, or is stuck.
	relayWrite = 2 * time.Second
)

// Inherit has datagrams that belong to nothing here asked for at the process before this one, until relay ends. It
// returns at once; ended is called when that process needs nothing more.
func (n *Node) Inherit(relay net.Conn, ended func()) {
	r := &heir{node: n, relay: relay, out: make(chan []byte, relayQueue), done: make(chan struct{})}
	n.net.Divert(r.divert)
	n.pending.Add(2)
	// Ends when the relay does, which is at the end of the other process, or of this one.
	go func() {
		defer n.pending.Done()
		r.write()
	}()
	// The same.
	go func() {
		defer n.pending.Done()
		r.read()
		n.net.Divert(nil)
		close(r.done)
		_ = relay.Close()
		ended()
	}()
	n.heir.Store(r)
}

// heir is the side of the relay that reads the sockets.
type heir struct {
	node  *Node
	relay net.Conn
	out   chan []byte
	done  chan struct{} // closed when the other process is gone

	// mu guards the field below.
	mu    sync.Mutex
	ended bool // nothing more is put into out
}

// divert gives a datagram away that belongs to nothing here.
func (r *heir) divert(p transport.Packet) bool {
	n := r.node
	if n.layer.Knows(p.Message, n.source(p.Source, wire{n}.back(p.Message, p.Source))) {
		return false
	}
	frame := appendFrame(make([]byte, 0, relayHead+len(p.Bytes)), p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	select {
	case r.out <- frame:
		return true
	default:
		return false
	}
}

// write writes what waits, and handles here what nobody takes any more.
func (r *heir) write() {
	for {
		select {
		case frame := <-r.out:
			_ = r.relay.SetWriteDeadline(time.Now().Add(relayWrite))
			if _, err := r.relay.Write(frame); err != nil {
				_ = r.relay.Close() // read ends
				r.keep(frame)
			}
		case <-r.done:
			r.mu.Lock()
			r.ended = true
			r.mu.Unlock()
			for len(r.out) > 0 {
				r.keep(<-r.out)
			}
			return
		}
	}
}

// keep handles a datagram that was to be given away.
func (r *heir) keep(frame []byte) {
	if p, err := parseFrame(frame[4:]); err == nil {
		r.node.net.Inject(p)
	}
}

// read takes what comes back.
func (r *heir) read() {
	in := bufio.NewReaderSize(r.relay, 64<<10)
	for {
		p, err := readFrame(in)
		switch {
		case errors.Is(err, errNoMore):
			r.goodbye()
			continue // what is given back of the rest
		case err != nil:
			return
		}
		r.node.net.Inject(p)
	}
}

// goodbye ends the giving away, because the other process is about to end. What waits is written still, and
// after it that there is no more.
func (r *heir) goodbye() {
	r.node.net.Divert(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended = true
		select {
		case r.out <- make([]byte, 4):
		default: // it is full: the other one waits no longer than it wants
		}
	}
}

// answerRelay is the side of the relay that has the transactions. It ends when the other process has said that no more
// comes, or relay is closed.
func (n *Node) answerRelay(relay net.Conn) {
	in := bufio.NewReaderSize(relay, 64<<10)
	for {
		p, err := readFrame(in)
		if err != nil {
			return
		}
		if n.known(p) {
			n.net.Inject(p)
			continue
		}
		_ = relay.SetWriteDeadline(time.Now().Add(relayWrite))
		if _, err := relay.Write(appendFrame(nil, p)); err != nil {
			return
		}
	}
}

// known reports whether a datagram belongs to a transaction here.
func (n *Node) known(p transport.Packet) bool {
	m, err := sip.Parse(string(p.Bytes))
	if err != nil {
		return false
	}
	defer m.Release()
	return n.layer.Knows(m, n.source(&transport.Source{Remote: p.From, Local: p.Local, Transport: sipaddr.UDP}, transport.Flow{}))
}

// endRelay says that nothing more is wanted, and waits a moment for what is on its way.
func endRelay(relay net.Conn, served <-chan struct{}) {
	_ = relay.SetWriteDeadline(time.Now().Add(relayWrite))
	if _, err := relay.Write(make([]byte, 4)); err != nil {
		return
	}
	select {
	case <-served:
	case <-time.After(relayWrite):
	}
}

// hasDatagrams reports whether any listener is for UDP.
func (n *Node) hasDatagrams() bool {
	return slices.ContainsFunc(n.net.Addrs(), func(l transport.Listen) bool { return l.Transport == sipaddr.UDP })
}

var (
	errNoMore   = errors.New("node: no more datagrams come over the relay")
	errBadFrame = errors.New("node: relay is out of step")
)

func appendFrame(dst []byte, p transport.Packet) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(2*18+len(p.Bytes)))
	for _, a := range []netip.AddrPort{p.From, p.Local} {
		ip := a.Addr().As16()
		dst = binary.BigEndian.AppendUint16(append(dst, ip[:]...), a.Port())
	}
	return append(dst, p.Bytes...)
}

// readFrame reads one frame. An empty one is errNoMore.
func readFrame(in *bufio.Reader) (p transport.Packet, err error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return p, err
	}
	size := binary.BigEndian.Uint32(head[:])
	switch {
	case size == 0:
		return p, errNoMore
	case size > relayHead+64<<10:
		return p, errBadFrame
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(in, b); err != nil {
		return p, err
	}
	return parseFrame(b)
}

// parseFrame reads what stands behind the length.
func parseFrame(b []byte) (p transport.Packet, err error) {
	if len(b) < 2*18 {
		return p, errBadFrame
	}
	addr := func(b []byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)).Unmap(), binary.BigEndian.Uint16(b[16:]))
	}
	return transport.Packet{From: addr(b), Local: addr(b[18:]), Bytes: b[36:]}, nil
}
