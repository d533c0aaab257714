package sctp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"
)

// take handles a packet that carries the association's tag: RFC 9260, Section 8.5. Here the handshake and all
// that is about the life of an association is dealt with; what is about data goes on to the engine.
func (a *association) take(p packet, from netip.AddrPort) {
	a.mu.Lock()
	if a.phase == established && from.Addr() == a.path.peer {
		a.to = from // RFC 6951, Section 5.4: the UDP port may change
	}
	up, ended := a.phase == established, a.err != nil
	a.mu.Unlock()
	if ended {
		return
	}
	a.heard.Store(time.Now().UnixNano())
	if !up {
		up = a.takeHandshake(p)
		if !up {
			return
		}
	}
	keep := headerSize // what of the packet the engine gets, moved together
	for at, c := range p.chunks() {
		pass, stop := a.takeChunk(c, from)
		if pass {
			n := padded(len(c))
			if keep != at {
				copy(p[keep:], p[at:at+n])
			}
			keep += n
		}
		if stop {
			break
		}
	}
	if keep > headerSize {
		a.wire.push(p[:keep])
	}
}

// takeChunk handles one chunk of an established association. It tells whether the engine is to have it, and
// whether the rest of the packet is to be thrown away.
func (a *association) takeChunk(c chunk, from netip.AddrPort) (pass, stop bool) {
	switch c.kind() {
	case chunkData:
		switch {
		case len(c) <= dataHeader:
			a.violated(causeNoData, "no data")
			return false, true
		case int(binary.BigEndian.Uint16(c[8:])) >= a.streamLimit():
			a.violated(causeInvalidStream, "invalid stream")
			return false, true
		}
		return true, false
	case chunkSack, chunkShutdown, chunkShutdownAck:
		return true, false
	case chunkShutdownComplete:
		c[1] = 0
		return true, true
	case chunkPing:
		a.stack.write(control(a.path, a.peerTag(), chunkPong, 0, c.value()), from)
	case chunkAbort:
		a.takeAbort(c)
		return false, true
	case chunkCookieEcho: // its acknowledgement was lost
		a.stack.write(control(a.path, a.peerTag(), chunkCookieAck, 0, nil), from)
	case chunkPong, chunkError, chunkCookieAck:
	case chunkInit, chunkInitAck:
		return false, true
	default:
		// The upper two bits say whether to go on and whether to report it: RFC 9260, Section 3.2.
		a.stack.unknown.Add(1)
		if c.kind()&0x40 != 0 && len(c) <= maxUnrecognized {
			a.stack.write(control(a.path, a.peerTag(), chunkError, 0, cause(causeUnknownChunk, c)), from)
		}
		return false, c.kind()&0x80 == 0
	}
	return false, false
}

// streamLimit is the number of streams in each direction.
func (a *association) streamLimit() int {
	return min(int(a.local.streamsIn), int(a.peer.streamsOut))
}

// violated ends the association because of what the peer sent.
func (a *association) violated(code uint16, what string) {
	a.abort(fmt.Errorf("%w: %s", ErrViolation, what), code, "")
}

// takeAbort ends the association as the peer wishes.
func (a *association) takeAbort(c chunk) {
	a.end(abortError(ErrAborted, c))
}

// abortError adds to an error what is said in an ABORT.
func abortError(err error, c chunk) error {
	v := c.value()
	if len(v) <= 4 {
		return err
	}
	if code := binary.BigEndian.Uint16(v); code != causeUserAbort && code != causeProtocolViolation {
		return err
	}
	said := v[4:max(4, min(len(v), int(binary.BigEndian.Uint16(v[2:])), 64))]
	if len(said) == 0 || !utf8.Valid(said) {
		return err
	}
	return fmt.Errorf("%w: %q", err, said)
}
