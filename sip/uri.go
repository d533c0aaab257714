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
	*u = URI{}
	i := 0
	switch {
	case len(s) > 4 && s[3] == ':' && equalFold(s[:3], "sip"):
		u.Scheme, i = "sip", 4
	case len(s) > 5 && s[4] == ':' && equalFold(s[:4], "sips"):
		u.Scheme, i = "sips", 5
	default:
		return u.other(s)
	}
	if at := strings.IndexByte(s[i:], '@'); at >= 0 {
		if !u.userinfo(s[i : i+at]) {
			return bad(part, "malformed user or password")
		}
		i += at + 1
	}
	end := hostEnd(s, i)
	if end < 0 {
		return bad(part, "no host")
	}
	u.Host = s[i:end]
	if end == len(s) {
		return nil
	}
	if u.Port, i = port(s, end, false); i < 0 {
		return bad(part, "port is not between 1 and 65535")
	}
	end = uriParamsEnd(s, i)
	if end < 0 {
		return bad(part, "malformed parameters")
	}
	u.Params = s[i:end]
	if end == len(s) {
		return nil
	}
	if s[end] != '?' {
		return bad(part, "malformed parameters")
	}
	if u.Headers = s[end:]; !validURIHeaders(u.Headers) {
		return bad(part, "malformed header components")
	}
	return nil
}

// other reads the URI of another scheme.
func (u *URI) other(s string) error {
	const part = "URI"
	i := strings.IndexByte(s, ':')
	if i <= 0 || !all(s[:i], charScheme) || lower(s[0]) < 'a' || lower(s[0]) > 'z' {
		return bad(part, "no scheme")
	}
	if scheme := s[:i]; equalFold(scheme, "sip") || equalFold(scheme, "sips") {
		return bad(part, "no host")
	}
	if !all(s[i+1:], charURI) {
		return bad(part, "empty, or a character that no URI may hold")
	}
	u.Scheme, u.Opaque = s[:i], s[i+1:]
	return nil
}

// userinfo reads user [ ":" password ].
func (u *URI) userinfo(s string) bool {
	u.HasUser = true
	end := escapedEnd(s, 0, charUser)
	if u.User = s[:end]; end == 0 || end == len(s) {
		return end > 0
	}
	u.Password, u.HasPassword = s[end+1:], true
	return s[end] == ':' && allEscaped(u.Password, charPass)
}

// uriParamsEnd reads *( ";" pname [ "=" pvalue ] ) at i and returns the position behind it, -1 when one has no name or
// an empty value.
func uriParamsEnd(s string, i int) int {
	for i < len(s) && s[i] == ';' {
		from := i + 1
		if i = escapedEnd(s, from, charParam); i == from {
			return -1
		}
		if i < len(s) && s[i] == '=' {
			from = i + 1
			if i = escapedEnd(s, from, charParam); i == from {
				return -1
			}
		}
	}
	return i
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
	if strings.IndexByte(u.Params, '%') >= 0 {
		return u.escapedParam(name)
	}
	for rest := u.Params; len(rest) > len(name); {
		if part := rest[1:]; equalFold(part[:len(name)], name) {
			if len(part) == len(name) || part[len(name)] == ';' {
				return "", true
			}
			if part[len(name)] == '=' {
				part = part[len(name)+1:]
				if end := strings.IndexByte(part, ';'); end >= 0 {
					part = part[:end]
				}
				return part, true
			}
		}
		next := strings.IndexByte(rest[1:], ';')
		if next < 0 {
			break
		}
		rest = rest[1+next:]
	}
	return "", false
}

// escapedParam is Param where names may be escaped.
func (u *URI) escapedParam(name string) (string, bool) {
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
