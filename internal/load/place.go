package load

import (
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/sipaddr"
)

// place is where one side of calls is reached: what it writes into Via and Contact. It does not change.
type place struct {
	side      side
	transport sipaddr.Transport
	sentBy    string
	via       string // a Via value up to the branch
	contact   string // a Contact URI behind the user
}

func newPlace(s side, t sipaddr.Transport, at netip.AddrPort) place {
	p := place{side: s, transport: t, sentBy: at.String()}
	p.via = "SIP/2.0/" + t.String() + " " + p.sentBy + ";branch="
	p.contact = "@" + p.sentBy
	if t != sipaddr.UDP {
		p.contact += ";transport=" + t.URIParam()
	}
	return p
}

// reliable says whether messages arrive without being repeated.
func (p *place) reliable() bool { return p.transport.Reliable() }

// contactOf returns the Contact URI of a user.
func (p *place) contactOf(uri string) string {
	user := "load"
	_, rest, _ := strings.Cut(uri, ":")
	if name, _, found := strings.Cut(rest, "@"); found {
		user = name
	}
	return "sip:" + user + p.contact
}

// origin is a place that calls are made from.
type origin struct {
	place
	host string // behind the @ of a Call-ID
	path path
}

// path is where messages go: over a connection, or from a UDP socket to an address.
type path struct {
	conn   *conn
	socket *socket
	to     netip.AddrPort
}

// outbox gathers what is to be sent while a lock is held, to be sent without it. What goes over a connection is put into
// its queue at once, so that it stays in order; datagrams may overtake each other anyhow.
type outbox struct {
	data   []byte
	items  []outgoing
	unsent int // messages that found no room
}

type outgoing struct {
	path path
	end  int // in data; it begins where the one before ends
}

// copy puts a message in; the bytes stay the caller's.
func (o *outbox) copy(p path, msg []byte) {
	if len(msg) == 0 {
		return
	}
	if p.conn == nil {
		o.data = append(o.data, msg...)
	} else if !p.conn.put(msg) {
		o.unsent++
		return
	}
	o.items = append(o.items, outgoing{p, len(o.data)})
}

// outboxRoom is the largest buffer that is kept for the next time.
const outboxRoom = 1 << 20

// flush sends what is in it, and returns how many messages the sockets did not take.
func (o *outbox) flush() (unsent int) {
	unsent, o.unsent = o.unsent, 0
	start := 0
	for _, item := range o.items {
		msg := o.data[start:item.end]
		start = item.end
		switch {
		case item.path.conn != nil:
			item.path.conn.rouse()
		case !item.path.socket.put(msg, item.path.to):
			unsent++
		}
	}
	clear(o.items)
	o.items, o.data = o.items[:0], o.data[:0]
	if cap(o.data) > outboxRoom {
		o.data = nil
	}
	return unsent
}
