package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Predecessor is the process before this one, as this one sees it.
type Predecessor struct {
	// Note is what it wants this one to know.
	Note json.RawMessage
	// Relay is between the two for as long as it lives.
	Relay net.Conn

	wire    *wire
	sockets map[string][]*os.File
}

// Patience is how long one process waits for a step of the other.
const Patience = 20 * time.Second

// FromPredecessor returns the process that this one follows, nil when there is none.
func FromPredecessor() (*Predecessor, error) {
	if os.Getenv(Env) == "" {
		return nil, nil
	}
	if err := os.Unsetenv(Env); err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	control, err := connOf(os.NewFile(controlFD, "handover"))
	if err != nil {
		return nil, err
	}
	p := &Predecessor{wire: newWire(control), sockets: make(map[string][]*os.File)}
	if p.Relay, err = connOf(os.NewFile(relayFD, "relay")); err != nil {
		return nil, err
	}
	m, err := p.wire.receive(time.Now().Add(Patience))
	if err != nil {
		return nil, err
	}
	p.Note = m.Note
	for i, name := range m.Sockets {
		p.sockets[name] = append(p.sockets[name], os.NewFile(uintptr(firstFD+i), name))
		keepToSelf(firstFD + i)
	}
	return p, nil
}

// Take returns the next socket of that name, and nil when there is none.
func (p *Predecessor) Take(name string) *os.File {
	if p == nil || len(p.sockets[name]) == 0 {
		return nil
	}
	f := p.sockets[name][0]
	p.sockets[name] = p.sockets[name][1:]
	return f
}

// Ready says that everything is open, and waits until this process may begin. Sockets that nobody took are closed.
func (p *Predecessor) Ready() error {
	for _, list := range p.sockets {
		for _, f := range list {
			_ = f.Close()
		}
	}
	p.sockets = nil
	if err := p.wire.send(message{Step: stepReady, All: true}); err != nil {
		return err
	}
	_, err := p.wire.expect(stepGo, time.Now().Add(Patience))
	return err
}

// Serving says that this process serves, and waits until the other has stepped back. An error says that it has ended
// meanwhile, which changes nothing: this process serves.
func (p *Predecessor) Serving() error {
	if err := p.wire.send(message{Step: stepServing}); err != nil {
		return err
	}
	_, err := p.wire.expect(stepYours, time.Now().Add(Patience))
	return errors.Join(err, p.wire.conn.Close())
}
