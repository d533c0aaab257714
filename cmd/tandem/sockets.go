package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/tandem-sip/tandem/internal/handover"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transport"
)

// inheritance has the sockets that were open before this process: those of the process that it follows, or those that
// systemd has opened for it (sd_listen_fds(3)), which belong to the listeners with their addresses.
type inheritance struct {
	from  *handover.Predecessor // nil: no process was there
	given []givenSocket
}

// givenSocket is one of systemd's.
type givenSocket struct {
	file   *os.File
	stream bool
	addr   string // that it listens on
}

// adminSocket is how the socket of the admin API is called when it is handed over.
const adminSocket = "admin"

// inherit finds what there is. It is called before anything is opened.
func inherit() (*inheritance, error) {
	from, err := handover.FromPredecessor()
	if err != nil {
		return nil, err
	}
	in := &inheritance{from: from}
	for _, f := range activation.Files(true) {
		g := givenSocket{file: f}
		if l, err := net.FileListener(f); err == nil {
			g.stream, g.addr = true, l.Addr().String()
			_ = l.Close()
		} else if c, err := net.FilePacketConn(f); err == nil {
			g.addr = c.LocalAddr().String()
			_ = c.Close()
		} else {
			return nil, fmt.Errorf("serve: the socket %s of systemd is neither a TCP listener nor a UDP socket: see to ListenStream= and ListenDatagram= in the socket unit", f.Name())
		}
		in.given = append(in.given, g)
	}
	return in, nil
}

// socketName is how the socket of a listener is called when it is handed over. A listener may have become TLS.
func socketName(l transport.Listen) string {
	kind := l.Transport.URIParam()
	if l.Transport == sipaddr.TLS {
		kind = sipaddr.TCP.URIParam()
	}
	return kind + " " + l.Addr.String()
}

// take returns the socket of a listener, nil when there is none.
func (in *inheritance) take(l transport.Listen) *os.File {
	if f := in.from.Take(socketName(l)); f != nil {
		return f
	}
	return in.takeAt(l.Transport != sipaddr.UDP, l.Addr.String())
}

// takeAdmin returns the socket of the admin API, nil when there is none.
func (in *inheritance) takeAdmin(addr string) *os.File {
	if f := in.from.Take(adminSocket + " " + addr); f != nil {
		return f
	}
	return in.takeAt(true, addr)
}

func (in *inheritance) takeAt(stream bool, addr string) *os.File {
	i := slices.IndexFunc(in.given, func(g givenSocket) bool {
		// systemd's sockets on all addresses are of both families, and show as [::].
		return g.stream == stream && (g.addr == addr || strings.Replace(g.addr, "[::]:", "0.0.0.0:", 1) == addr)
	})
	if i < 0 {
		return nil
	}
	f := in.given[i].file
	in.given = slices.Delete(in.given, i, i+1)
	return f
}

// rest returns an error when systemd has given sockets that belong to no listener: what comes there would wait for ever.
func (in *inheritance) rest() error {
	var list []error
	for _, g := range in.given {
		kind := "ListenDatagram="
		if g.stream {
			kind = "ListenStream="
		}
		list = append(list, fmt.Errorf("serve: systemd listens on %s (%s), and the configuration does not: add it to listen, or take it out of the socket unit", g.addr, kind))
		_ = g.file.Close()
	}
	return errors.Join(list...)
}
