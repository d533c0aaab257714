package load

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/sctp"
)

// SIP over SCTP (RFC 4168) and TLS over SCTP (RFC 3436): what differs from TCP.

// associationGrace is how long the far side has to agree to the end of an association.
const associationGrace = time.Second

// speaks returns what speaks SCTP from an address: the kernel where it can, and otherwise the process itself over UDP
// (RFC 6951). It is opened once, before anything is started.
func (g *Generator) speaks(from netip.Addr) (sctp.Provider, error) {
	if p := g.speakers[from]; p != nil {
		return p, nil
	}
	cfg := sctp.Config{MaxAssociations: 2*MaxConnections + maxKnocks}
	if !from.IsUnspecified() {
		cfg.Addresses = []netip.Addr{from}
	}
	p, err := sctp.Open(cfg)
	if err != nil {
		return nil, err
	}
	g.speakers[from] = p
	return p, nil
}

// dialAssociation opens an association with the target. With TLS its first stream is what TLS is spoken over.
func (g *Generator) dialAssociation(ctx context.Context) (*conn, error) {
	a, err := g.speakers[g.bind.Addr()].Dial(ctx, g.cfg.Target.Addr, 0)
	if err != nil {
		return nil, err
	}
	c := newConn(nil)
	c.messages = a
	if !g.cfg.Target.Transport.Secure() {
		return c, nil
	}
	s, err := a.OpenStream(0)
	if err != nil {
		a.Abort("")
		return nil, err
	}
	c.conn, c.messages = associated{s, a}, nil
	return c, nil
}

// associated is a stream of an association, which ends with it.
type associated struct {
	*sctp.Stream
	whole sctp.Association
}

// Close shuts the association down.
func (a associated) Close() error { return shutDown(a.whole) }

// shutDown ends an association in order, or at once when the far side does not agree.
func shutDown(a sctp.Association) error {
	ctx, cancel := context.WithTimeout(context.Background(), associationGrace)
	defer cancel()
	return a.Shutdown(ctx)
}

// sendMessages sends each message of out, which end where ends says, as one of SCTP: on stream 0 and unordered, as
// RFC 4168, Section 5.1 has it.
func sendMessages(a sctp.Association, out []byte, ends []int) error {
	start := 0
	for _, end := range ends {
		if err := a.Send(context.Background(), out[start:end], 0, true); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// ping and pong are keepalives: RFC 5626, Section 3.5.1.
const (
	ping = "\r\n\r\n"
	pong = "\r\n"
)

// carryMessages reads what comes on any stream of an association without TLS until that has ended.
func (c *conn) carryMessages(in *inbox) {
	// How it ended is of no use: the far side may, and what is lost by it fails calls.
	_ = c.messages.Serve(func(b []byte, _ uint16) {
		if string(b) == ping {
			c.put([]byte(pong))
			c.rouse()
			return
		}
		in.take(b, path{conn: c})
		in.handle()
	})
}

// pingAssociation sends a ping over an association without TLS, and waits for the answer.
func pingAssociation(ctx context.Context, a sctp.Association) error {
	var reading sync.WaitGroup
	defer reading.Wait()
	defer func() { _ = shutDown(a) }()
	if err := a.Send(ctx, []byte(ping), 0, true); err != nil {
		return err
	}
	answered := make(chan struct{})
	var once sync.Once
	// Ends with the association.
	reading.Go(func() {
		_ = a.Serve(func(b []byte, _ uint16) {
			if string(b) == pong {
				once.Do(func() { close(answered) })
			}
		})
	})
	select {
	case <-answered:
		return nil
	case <-a.Done():
		return a.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
