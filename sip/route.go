package sip

import "unsafe"

// Route is one value of the Route header field (RFC 3261, Section 20.34).
type Route struct {
	URI  URI
	Text string // of the URI, as it was written
}

// Routes appends the values of Route from the top down to room, and no more than most of them. Validate has found nothing
// wrong with any; without it the list ends before a value that is malformed.
func (m *Message) Routes(room []Route, most int) []Route {
	if m.present&(1<<FieldRoute) == 0 {
		return room
	}
	if m.valid && m.status == 0 && int(m.routeCount) <= min(keptRoutes, most) {
		for i := range m.routeCount {
			room = append(room, Route{})
			m.routes[i].read(m.raw, &room[len(room)-1])
		}
		return room
	}
	from := len(room)
	for i := m.firstLine(FieldRoute); i >= 0; i = m.nextLine(FieldRoute, i+1) {
		for l := m.list(m.line(i)); l.next(); {
			if len(room)-from == most {
				return room
			}
			var n NameAddr
			var r Route
			if err, uriErr := n.parseURI(m.raw[l.start:l.end], &r.URI); err != nil || uriErr != nil {
				return room
			}
			r.Text = n.Addr
			room = append(room, r)
		}
	}
	return room
}

// validateRoutes checks that all values are addresses in angle brackets, and notes where the first ones have their parts.
func (m *Message) validateRoutes() error {
	for i := m.firstLine(FieldRoute); i >= 0; i = m.nextLine(FieldRoute, i+1) {
		l := m.list(m.line(i))
		for l.next() {
			var n NameAddr
			var u URI
			err, uriErr := n.parseURI(m.raw[l.start:l.end], &u)
			switch {
			case err != nil:
				return inField(FieldRoute, err)
			case !n.Bracketed:
				return bad("Route", "no angle brackets") // RFC 3261, Section 20.34
			case uriErr != nil:
				return inField(FieldRoute, uriErr)
			}
			if m.routeCount < keptRoutes {
				m.routes[m.routeCount].note(m.raw, n.Addr, &u)
			}
			m.routeCount++
		}
		if l.empty {
			return bad("Route", "empty value in the list")
		}
	}
	return nil
}

// keptRoutes is how many values of Route a Message has room for: the two of one hop, and the next hop.
const keptRoutes = 3

// routePlace says where the parts of a URI stand in the message that it was parsed from. It has no pointer, and is written
// before it is read.
type routePlace struct {
	text, user, password, host, params, headers span // host: or the opaque part

	port   uint16
	scheme uriScheme
	has    uint8 // hasUser, hasPassword
}

// span is a part of a message.
type span struct{ start, end uint16 }

const (
	hasUser = 1 << iota
	hasPassword
)

// uriScheme is the scheme of a URI: one of the first two, or that which stands before the opaque part.
type uriScheme uint8

const (
	schemeSIP uriScheme = iota
	schemeSIPS
	schemeOther
)

// spanOf returns where a part of raw stands, which is empty or begins in the first 64 KiB.
func spanOf(raw, part string) span {
	if part == "" {
		return span{}
	}
	at := uintptr(unsafe.Pointer(unsafe.StringData(part))) - uintptr(unsafe.Pointer(unsafe.StringData(raw)))
	return span{uint16(at), uint16(int(at) + len(part))}
}

func (s span) in(raw string) string { return raw[s.start:s.end] }

// note takes down the places of a URI that was parsed from text, a part of raw.
func (p *routePlace) note(raw, text string, u *URI) {
	*p = routePlace{
		text: spanOf(raw, text), user: spanOf(raw, u.User), password: spanOf(raw, u.Password), host: spanOf(raw, u.Host),
		params: spanOf(raw, u.Params), headers: spanOf(raw, u.Headers), port: u.Port,
	}
	switch u.Scheme {
	case "sip":
	case "sips":
		p.scheme = schemeSIPS
	default:
		p.scheme, p.host = schemeOther, spanOf(raw, u.Opaque)
	}
	if u.HasUser {
		p.has |= hasUser
	}
	if u.HasPassword {
		p.has |= hasPassword
	}
}

// read makes a Route out of the places.
func (p *routePlace) read(raw string, r *Route) {
	r.Text = p.text.in(raw)
	u := &r.URI
	u.User, u.Password, u.Host = p.user.in(raw), p.password.in(raw), p.host.in(raw)
	u.Params, u.Headers, u.Port = p.params.in(raw), p.headers.in(raw), p.port
	u.HasUser, u.HasPassword = p.has&hasUser != 0, p.has&hasPassword != 0
	switch p.scheme {
	case schemeSIP:
		u.Scheme = "sip"
	case schemeSIPS:
		u.Scheme = "sips"
	default:
		u.Scheme = raw[p.text.start : p.host.start-uint16(len(":"))]
		u.Host, u.Opaque = "", u.Host
	}
}
