package lab

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
)

// pairPatience is how long the proxies may take to open the associations between them before the first call.
const pairPatience = 10 * time.Second

// Connection is one end of a connection between the proxies.
type Connection struct {
	Proxy     string          `json:"proxy"`          // whose end it is
	Transport string          `json:"transport"`      // as in Via
	SCTP      string          `json:"sctp,omitempty"` // who speaks it: kernel, udp or raw
	ID        alias.ConnID    `json:"connection"`
	Direction alias.Direction `json:"direction"` // dialed or accepted
	Local     string          `json:"local_address"`
	Remote    string          `json:"source_address"`
}

// openPairs waits, over SCTP without TLS, until both proxies have opened an association of their own.
func (l *Lab) openPairs(ctx context.Context) error {
	if l.opts.Transport != sipaddr.SCTP {
		return nil
	}
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for end := time.Now().Add(pairPatience); ; {
		for i, s := range l.sides {
			l.opened[i] = 0
			for _, c := range s.node.Connections() {
				if c.Transport == sipaddr.SCTP && c.Direction == alias.Dialed {
					l.opened[i]++
				}
			}
		}
		switch {
		case l.opened[0] > 0 && l.opened[1] > 0:
			return nil
		case time.Now().After(end):
			return errors.New("lab: the proxies have not opened their associations")
		case l.Err() != nil:
			return l.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// count counts what stands between the proxies: TCP in the kernel's table of sockets, and associations with whoever
// speaks SCTP.
func (l *Lab) count(r *Result) {
	if !l.opts.Transport.OverSCTP() {
		if n, err := kernelConnections(l.place); err != nil {
			r.TLSConnectionsUnknown = err.Error()
		} else {
			r.TLSConnections = &n
		}
		return
	}
	ends := 0
	for _, s := range l.sides {
		ends += s.node.Stats().Transport.SCTP.Associations
		for _, c := range s.node.Connections() {
			if c.SCTP == "" {
				continue
			}
			r.SCTP = c.SCTP
			r.Connections = append(r.Connections, Connection{
				Proxy: s.name, Transport: c.Transport.String(), SCTP: c.SCTP, ID: c.ID, Direction: c.Direction,
				Local: c.Local.String(), Remote: c.Remote.String(),
			})
		}
	}
	n, tls, before := ends/2, 0, l.opened[0]+l.opened[1]
	r.Associations = &n
	if l.opts.Transport.Secure() {
		tls = n // each of them is a connection with TLS
	} else {
		r.OpenBefore = &before
	}
	r.TLSConnections = &tls
}
