package node

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/transport"
)

// How one process follows another without a call lost. The new one inherits the sockets and the Heritage; the old
// one pauses, and then hands over: what it has begun ends there, over its own connections. Datagrams come to the new
// one alone, which gives those that belong to nothing it knows to the old one (relay.go).

// Heritage is what a process needs to know of the one before it, so that dialogs go on.
type Heritage struct {
	// DialogKey and DialogKeyBefore are the secrets that dialog tokens are good by.
	DialogKey       []byte `json:"dialog_key"`
	DialogKeyBefore []byte `json:"dialog_key_before,omitempty"`
	// SentBy has for each served domain the host that stands in Record-Route, and Former those that stood there.
	SentBy map[string]string `json:"sent_by,omitempty"`
	Former []string          `json:"former,omitempty"`
}

// Heritage returns what a process that follows this one needs to know. It is secret.
func (n *Node) Heritage() *Heritage {
	s := n.inForce.Load()
	h := &Heritage{SentBy: make(map[string]string), Former: s.former}
	h.DialogKey, h.DialogKeyBefore = n.core.DialogKeys()
	for _, d := range s.cfg.Domains {
		h.SentBy[d.Name] = hostPart(d.SentBy)
	}
	return h
}

// keys returns the secrets for dialog tokens: the one that is configured, or else the inherited one, and the one before.
func (h *Heritage) keys(cfg *config.Config) (now, before []byte) {
	now = cfg.Access.DialogKey
	switch {
	case h == nil:
		return now, nil
	case len(now) == 0:
		return h.DialogKey, h.DialogKeyBefore
	case bytes.Equal(now, h.DialogKey):
		return now, h.DialogKeyBefore
	}
	return now, h.DialogKey
}

// formerHosts returns the hosts that dialogs from before go by, of domains that are still served.
func (h *Heritage) formerHosts(cfg *config.Config) []string {
	if h == nil {
		return nil
	}
	list := slices.Clone(h.Former)
	for _, d := range cfg.Domains {
		if was := h.SentBy[d.Name]; was != "" && was != hostPart(d.SentBy) && !slices.Contains(list, was) {
			list = append(list, was)
		}
	}
	return list[max(0, len(list)-maxFormer):]
}

// Sockets returns the listening sockets, for another process to inherit.
func (n *Node) Sockets() ([]transport.Socket, error) { return n.net.Sockets() }

// Pause stops taking connections and datagrams in, and Resume undoes that.
func (n *Node) Pause() { n.net.Pause() }

// Resume takes connections and datagrams in again.
func (n *Node) Resume() { n.net.Resume() }

// HandOver lets what has begun end while another process has the listeners, and returns when that is done or ctx is.
// Unlike Drain it turns nothing away: what peers send over connections that stand is served until they are closed.
// Over relay the other process gives datagrams of transactions that are here. Pause comes before it.
func (n *Node) HandOver(ctx context.Context, relay net.Conn) error {
	n.draining.Store(true)
	n.pairs.stop()
	served := make(chan struct{})
	// Ends when the relay does; this function waits for it.
	go func() {
		defer close(served)
		n.answerRelay(relay)
	}()
	defer func() {
		_ = relay.Close()
		<-served
	}()
	early, cancel := withGrace(ctx)
	defer cancel()
	err := n.handOver(early)
	if err != nil {
		left := n.Outstanding()
		n.closeAll(ctx)
		if left > 0 {
			return fmt.Errorf("node: %d transactions were cut off: %w", left, err)
		}
	}
	endRelay(relay, served)
	return nil
}

// handOver closes the connections and waits for the transactions.
func (n *Node) handOver(ctx context.Context) error {
	// The accepted ones first, over which most new requests come: those need the dialed ones.
	accepted, cancel := context.WithTimeout(ctx, n.inForce.Load().cfg.Timers.Drain/2)
	defer cancel()
	if err := n.net.HandOver(accepted); err != nil && ctx.Err() != nil {
		return err
	}
	if err := n.net.Drain(ctx); err != nil {
		return err
	}
	if err := n.layer.Wait(ctx); err != nil {
		return err
	}
	if !n.hasDatagrams() {
		return nil
	}
	// Over UDP what has ended is asked for again when an answer was lost.
	tick := time.NewTicker(lingerLook)
	defer tick.Stop()
	for n.alive() > 0 {
		select {
		case <-ctx.Done():
			return nil // nobody is owed anything
		case <-tick.C:
		}
	}
	return nil
}

// lingerLook is how often it is looked whether any transaction is left.
const lingerLook = 100 * time.Millisecond

// alive counts the transactions, those included that only wait for what may come again.
func (n *Node) alive() (sum int) {
	for _, k := range n.layer.Stats().Live {
		sum += k
	}
	return sum
}

// Succeeding reports whether the process before this one has not ended yet.
func (n *Node) Succeeding() bool {
	r := n.heir.Load()
	if r == nil {
		return false
	}
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}
