package sip

import (
	"net/netip"
	"strconv"
)

// SetReceived tells where a request came from (RFC 3261, Section 18.2.1 and RFC 3581, Section 4). The
// bytes stay as they are; everything that writes the topmost Via of this message from now on gives it
// a received parameter when the host of sent-by is not that address or when the client asked for
// rport, and fills in rport when the client asked. Values of both that the client wrote itself are
// replaced.
//
// It is called by the goroutine that read the message, before others see it, and does nothing when
// there is no Via that can be understood.
func (m *Message) SetReceived(addr netip.Addr, port uint16) {
	v, err := m.TopVia()
	if err != nil {
		return
	}
	v.Source = netip.AddrPortFrom(addr.Unmap().WithZone(""), port)
	v.Received, v.RPort = "", 0
}

// SetKeep answers the offer of keepalives in the topmost Via of a request (RFC 6223, Section 4.4): what writes
// that Via gives a keep parameter without a value these seconds. It is called after SetReceived and like it.
func (m *Message) SetKeep(seconds int) {
	if v, err := m.TopVia(); err == nil {
		v.keep = seconds
	}
}

// needsReceived says whether the topmost Via has to be written with received.
func (v *Via) needsReceived() bool {
	if v.HasRPort {
		return true // even if it is the same as sent-by: RFC 3581, Section 4
	}
	a, ok := v.IP()
	return !ok || a.Unmap() != v.Source.Addr()
}

// appendTopVia appends the topmost Via value s, which v was parsed from, with what SetReceived said.
// All else in it stays byte for byte.
func appendTopVia(dst []byte, s string, v *Via) []byte {
	if !v.hasReceived && v.keep == 0 && len(v.Params) < 1<<16 {
		// Nothing but rport has to be replaced, and Parse has noted where it stands.
		at := len(s) - len(v.Params)
		if v.rportEnd > 0 {
			dst = append(dst, s[:at+int(v.rportStart)]...)
			dst = append(dst, ";rport="...)
			dst = strconv.AppendUint(dst, uint64(v.Source.Port()), 10)
			at += int(v.rportEnd)
			dst = append(dst, s[at:]...)
		} else {
			dst = append(dst, s...)
		}
		return v.appendReceived(dst)
	}
	dst = append(dst, s[:len(s)-len(v.Params)]...)
	w := params{s: v.Params}
	at := 0
	for w.next() {
		switch {
		case equalFold(w.name, "received"):
			dst = append(dst, w.s[at:w.start]...)
		case equalFold(w.name, "rport"):
			dst = append(dst, w.s[at:w.start]...)
			dst = append(dst, ";rport="...)
			dst = strconv.AppendUint(dst, uint64(v.Source.Port()), 10)
		case v.keep > 0 && !w.has && equalFold(w.name, "keep"):
			dst = append(dst, w.s[at:w.end]...)
			dst = append(dst, '=')
			dst = strconv.AppendUint(dst, uint64(v.keep), 10)
		default:
			continue
		}
		at = w.end
	}
	dst = append(dst, w.s[at:]...)
	return v.appendReceived(dst)
}

func (v *Via) appendReceived(dst []byte) []byte {
	if v.needsReceived() {
		dst = append(dst, ";received="...)
		dst = v.Source.Addr().AppendTo(dst)
	}
	return dst
}

// appendRaw appends the bytes of the message from a to b. When the topmost Via is among them whole,
// it is written with what SetReceived said.
func (m *Message) appendRaw(dst []byte, a, b int) []byte {
	start, end := int(m.viaStart), int(m.viaEnd)
	if m.viaState == parsed && a <= start && end <= b && m.via.Source.IsValid() {
		dst = append(dst, m.raw[a:start]...)
		dst = appendTopVia(dst, m.raw[start:end], &m.via)
		a = end
	}
	return append(dst, m.raw[a:b]...)
}

func appendPort(dst []byte, port uint16) []byte {
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(port), 10)
}
