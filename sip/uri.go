package sip

import (
	"net/netip"
	"strconv"
	"strings"
)

// URI is a SIP or SIPS URI in its parts (RFC 3261, Section 19.1), or the URI of another scheme in one
// piece. Its strings are parts of the text that was parsed, with escapes left in.
type URI struct {
	// Scheme is "sip" or "sips" in lower case, or another scheme as written.
	Scheme string
	// User and Password are the userinfo.
	User, Password string
	// Host is a name, an IPv4 address, or an IPv6 address in brackets, as written.
	Host string
	// Params are the uri-parameters with their leading ";".
	Params string
	// Headers are the header components with their leading "?".
	Headers string
	// Opaque is what stands behind the colon when the scheme is neither sip nor sips.
	Opaque string
	// Port is 0 when there is none.
	Port uint16
	// HasUser says whether there is an "@".
	HasUser bool
	// HasPassword says whether there is a ":" in the userinfo.
	HasPassword bool
}

// ParseURI parses a URI. See [URI.Parse].
func ParseURI(s string) (*URI, error) {
	u := new(URI)
	if err := u.Parse(s); err != nil {
		return nil, err
	}
	return u, nil
}

// Parse reads a URI, which must be the whole of s and without white space. A URI of an unknown
// scheme is no error. The result refers to s.
func (u *URI) Parse(s string) error {
	const part = "URI"
	i := strings.IndexByte(s, ':')
	if i <= 0 || !all(s[:i], charScheme) || lower(s[0]) < 'a' || lower(s[0]) > 'z' {
		return bad(part, "no scheme")
	}
	*u = URI{}
	rest := s[i+1:]
	switch {
	case equalFold(s[:i], "sip"):
		u.Scheme = "sip"
	case equalFold(s[:i], "sips"):
		u.Scheme = "sips"
	default:
		if !all(rest, charURI) {
			return bad(part, "empty, or a character that no URI may hold")
		}
		u.Scheme, u.Opaque = s[:i], rest
		return nil
	}
	if at := strings.IndexByte(rest, '@'); at >= 0 {
		if err := u.userinfo(rest[:at]); err != nil {
			return err
		}
		rest = rest[at+1:]
	}
	end := hostEnd(rest, 0)
	if end < 0 {
		return bad(part, "no host")
	}
	u.Host = rest[:end]
	p, next := port(rest, end, false)
	if next < 0 {
		return bad(part, "port is not between 1 and 65535")
	}
	u.Port = p
	rest = rest[next:]
	if q := strings.IndexByte(rest, '?'); q >= 0 {
		if u.Headers = rest[q:]; !validURIHeaders(u.Headers) {
			return bad(part, "malformed header components")
		}
		rest = rest[:q]
	}
	if u.Params = rest; !validURIParams(rest) {
		return bad(part, "malformed parameters")
	}
	return nil
}

func (u *URI) userinfo(s string) error {
	u.HasUser = true
	user := s
	if c := strings.IndexByte(s, ':'); c >= 0 {
		user, u.Password, u.HasPassword = s[:c], s[c+1:], true
	}
	if user == "" || !allEscaped(user, charUser) || !allEscaped(u.Password, charPass) {
		return bad("URI", "malformed user or password")
	}
	u.User = user
	return nil
}

// validURIParams checks *( ";" pname [ "=" pvalue ] ).
func validURIParams(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ';' {
		return false
	}
	w := uriParams{s: s}
	for w.next() {
		if w.name == "" || w.has && w.value == "" ||
			!allEscaped(w.name, charParam) || !allEscaped(w.value, charParam) {
			return false
		}
	}
	return true
}

// validURIHeaders checks "?" hname "=" hvalue *( "&" hname "=" hvalue ).
func validURIHeaders(s string) bool {
	w := uriParams{s: s}
	for w.next() {
		if w.name == "" || !w.has || !allEscaped(w.name, charHeader) || !allEscaped(w.value, charHeader) {
			return false
		}
	}
	return true
}

// uriParams walks over the parameters (";a=b;c") or header components ("?a=b&c=d") of a URI.
type uriParams struct {
	s   string
	pos int

	name, value string
	has         bool
}

func (w *uriParams) next() bool {
	if w.pos >= len(w.s) {
		return false
	}
	sep := byte(';')
	if w.s[0] == '?' {
		sep = '&'
	}
	from := w.pos + 1
	end := len(w.s)
	if n := strings.IndexByte(w.s[from:], sep); n >= 0 {
		end = from + n
	}
	eq := strings.IndexByte(w.s[from:end], '=')
	if eq >= 0 {
		eq += from
	}
	w.pos = end
	if w.has = eq >= 0; w.has {
		w.name, w.value = w.s[from:eq], w.s[eq+1:end]
	} else {
		w.name, w.value = w.s[from:end], ""
	}
	return true
}

// Param returns the value of a uri-parameter, as written. The name is compared without regard to
// case and with escapes undone.
func (u *URI) Param(name string) (string, bool) {
	w := uriParams{s: u.Params}
	for w.next() {
		if equalFold(w.name, name) || strings.IndexByte(w.name, '%') >= 0 && equalEscaped(w.name, name, true) {
			return w.value, true
		}
	}
	return "", false
}

// Transport returns the transport parameter in lower case, empty when there is none.
func (u *URI) Transport() string {
	v, _ := u.Param("transport")
	for _, known := range [...]string{"udp", "tcp", "tls", "sctp", "tls-sctp", "ws", "wss"} {
		if equalFold(v, known) {
			return known
		}
	}
	return strings.ToLower(v)
}

// IsSIP says whether the scheme is sip or sips.
func (u *URI) IsSIP() bool { return u.Scheme == "sip" || u.Scheme == "sips" }

// Secure says whether the scheme is sips.
func (u *URI) Secure() bool { return u.Scheme == "sips" }

// IP returns the address when the host is one and not a name.
func (u *URI) IP() (netip.Addr, bool) { return parseIP(u.Host) }

// String returns the URI as text.
func (u *URI) String() string { return string(u.AppendTo(nil)) }

// AppendTo appends the URI as text.
func (u *URI) AppendTo(dst []byte) []byte {
	dst = append(dst, u.Scheme...)
	dst = append(dst, ':')
	if !u.IsSIP() {
		return append(dst, u.Opaque...)
	}
	if u.HasUser {
		dst = append(dst, u.User...)
		if u.HasPassword || u.Password != "" {
			dst = append(dst, ':')
			dst = append(dst, u.Password...)
		}
		dst = append(dst, '@')
	}
	dst = append(dst, u.Host...)
	if u.Port != 0 {
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, uint64(u.Port), 10)
	}
	dst = append(dst, u.Params...)
	return append(dst, u.Headers...)
}

// URI returns the Request-URI, parsed once. Its error is about syntax only: a scheme that is unknown
// here is none.
func (m *Message) URI() (*URI, error) {
	if m.uriState == parsed {
		return &m.uri, nil
	}
	if m.uriState == untouched && m.uri.Parse(m.RequestURI()) == nil {
		m.uriState = parsed
		return &m.uri, nil
	}
	m.uriState = broken
	var u URI
	return nil, u.Parse(m.RequestURI())
}
