package sip

import (
	"net/netip"
	"strings"
)

// BranchCookie begins every branch that identifies a transaction (RFC 3261, Section 8.1.1.7).
const BranchCookie = "z9hG4bK"

// Via is one value of the Via header field (RFC 3261, Section 20.42). Its strings are parts of the
// text that was parsed.
type Via struct {
	// Transport is the token of the sent-protocol as written, such as "TLS".
	Transport string
	// Host is the host of sent-by; an IPv6 address has its brackets.
	Host string
	// Port is the port of sent-by, 0 when there is none.
	Port uint16
	// RPort is the value of rport, 0 when it has none (RFC 3581, Section 3).
	RPort uint16
	// HasRPort says that there is an rport parameter.
	HasRPort bool
	// Alias says that there is an alias parameter without a value (RFC 5923, Section 7).
	Alias bool
	// Keep says that there is a keep parameter (RFC 6223, Section 4.2).
	Keep bool
	// KeepValue is its value, empty when it has none: in a response the seconds between keepalives.
	KeepValue string
	// Params are all parameters with their leading ";".
	Params string
	// Branch, Received and MAddr are parameters; empty when they are not there. Received has no
	// brackets around an IPv6 address, even if it was written with them.
	Branch, Received, MAddr string
	// Source is where the request came from when SetReceived has been told, else the zero value.
	// Received and RPort then say nothing and are empty.
	Source netip.AddrPort

	hasReceived          bool   // there is a received parameter, whatever SetReceived made of Received
	keep                 int    // what SetKeep was told
	rportStart, rportEnd uint16 // where rport stands in Params, if there is one and they are short enough
}

// ParseVia parses one Via value. See [Via.Parse].
func ParseVia(s string) (*Via, error) {
	v := new(Via)
	if err := v.Parse(s); err != nil {
		return nil, err
	}
	return v, nil
}

// Parse reads one Via value, which must be the whole of s. The result refers to s.
func (v *Via) Parse(s string) error {
	const part = "Via"
	*v = Via{}
	i := v.protocol(s)
	if i < 0 {
		return bad(part, "malformed sent-protocol")
	}
	from := skipSpace(s, i)
	if from == i {
		return bad(part, "no white space before sent-by")
	}
	end := hostEnd(s, from)
	if end < 0 {
		return bad(part, "malformed host in sent-by")
	}
	v.Host = s[from:end]
	if v.Port, i = port(s, end, true); i < 0 {
		return bad(part, "malformed port in sent-by")
	}
	i = skipSpace(s, i)
	if v.Params = s[i:]; !v.params() {
		return bad(part, "malformed or repeated parameter")
	}
	return nil
}

// protocol reads sent-protocol = name SLASH version SLASH transport, with white space around the slashes, and
// returns the position behind it, or -1.
func (v *Via) protocol(s string) int {
	i, n := 0, 0
	if strings.HasPrefix(s, "SIP/2.0/") {
		i, n = len("SIP/2.0/"), 2
	}
	for ; ; n++ {
		i = skipSpace(s, i)
		from := i
		for i < len(s) && is(s[i], charToken) {
			i++
		}
		if i == from {
			return -1
		}
		if n == 2 {
			v.Transport = s[from:i]
			return i
		}
		if i = skipSpace(s, i); i == len(s) || s[i] != '/' {
			return -1
		}
		i++
	}
}

// params reads the parameters, and says whether they are well formed and none that matters is repeated.
func (v *Via) params() bool {
	p := params{s: v.Params}
	var branch, received, rport, maddr bool
	for p.next() {
		ok := true
		switch len(p.name) {
		case 4:
			if equalFold(p.name, "keep") {
				v.Keep, v.KeepValue = true, p.value
			}
		case 5:
			switch {
			case equalFold(p.name, "rport"):
				ok, rport = !rport, true
				v.HasRPort = true
				v.rportStart, v.rportEnd = uint16(p.start), uint16(p.end)
				if p.has {
					n, good := number(p.value, 65535)
					v.RPort, ok = uint16(n), ok && good
				}
			case equalFold(p.name, "alias"):
				v.Alias = !p.has
			case equalFold(p.name, "maddr"):
				v.MAddr = p.value
				ok, maddr = !maddr && p.value != "" && hostEnd(p.value, 0) == len(p.value), true
			}
		case 6:
			if equalFold(p.name, "branch") {
				v.Branch = p.value
				ok, branch = !branch && p.token, true
			}
		case 8:
			if equalFold(p.name, "received") {
				// The grammar has no brackets around an IPv6 address here, but senders write them, and
				// they are to be accepted: RFC 5118, Section 4.5.
				v.Received, v.hasReceived = p.value, true
				if n := len(v.Received); n > 2 && v.Received[0] == '[' && v.Received[n-1] == ']' {
					v.Received = v.Received[1 : n-1]
				}
				_, isIP := parseIP(v.Received)
				ok, received = !received && isIP, true
			}
		}
		if !ok {
			return false
		}
	}
	return !p.bad
}

// Param returns the value of a parameter by name, in any case.
func (v *Via) Param(name string) (string, bool) { return param(v.Params, name) }

// SentBy returns the host and optional port as they were written, without white space.
func (v *Via) SentBy() string {
	if v.Port == 0 {
		return v.Host
	}
	return string(appendPort(append([]byte(nil), v.Host...), v.Port))
}

// IP returns the address in sent-by when the host is one and not a name.
func (v *Via) IP() (netip.Addr, bool) { return parseIP(v.Host) }

// viaValue returns the offsets of the topmost Via value.
func (m *Message) viaValue() (start, end int, ok bool) {
	for i := m.firstLine(FieldVia); i >= 0; i = m.nextLine(FieldVia, i+1) {
		l := m.list(m.line(i))
		if l.next() {
			return l.start, l.end, true
		}
	}
	return 0, 0, false
}

// TopVia returns the topmost Via value, parsed once.
func (m *Message) TopVia() (*Via, error) {
	if m.viaState == parsed {
		return &m.via, nil
	}
	start, end, ok := m.viaValue()
	if !ok {
		return nil, bad("Via", "missing")
	}
	if m.viaState == untouched && m.via.Parse(m.raw[start:end]) == nil {
		m.viaState, m.viaStart, m.viaEnd = parsed, uint16(start), uint16(end)
		return &m.via, nil
	}
	m.viaState = broken
	var v Via
	return nil, v.Parse(m.raw[start:end])
}

// Branch returns the branch of the topmost Via, or an empty string.
func (m *Message) Branch() string {
	v, err := m.TopVia()
	if err != nil {
		return ""
	}
	return v.Branch
}
