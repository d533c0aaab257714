package sip

// maxCompared is how many parameters or header components two URIs may have each to be compared one
// by one. Above it they must be written alike, so that comparing stays cheap.
const maxCompared = 64

// Equal says whether two URIs are equivalent by RFC 3261, Section 19.1.4. URIs of other schemes are
// equivalent when they are written alike, apart from the case of the scheme.
func (u *URI) Equal(o *URI) bool {
	if !u.IsSIP() || !o.IsSIP() {
		return equalFold(u.Scheme, o.Scheme) && u.Opaque == o.Opaque && u.IsSIP() == o.IsSIP()
	}
	// A SIP and a SIPS URI are never equivalent; user, password, host and port must match, and a part
	// with a default value does not match a part left out: RFC 3261, Section 19.1.4.
	if u.Scheme != o.Scheme || u.Port != o.Port || u.HasUser != o.HasUser || u.HasPassword != o.HasPassword {
		return false
	}
	return equalHost(u.Host, o.Host) &&
		equalEscaped(u.User, o.User, false) && equalEscaped(u.Password, o.Password, false) &&
		equalParams(u.Params, o.Params) && equalHeaders(u.Headers, o.Headers)
}

func equalHost(a, b string) bool {
	if equalFold(a, b) {
		return true
	}
	if a == "" || b == "" || a[0] != '[' || b[0] != '[' {
		return false
	}
	x, ok := parseIP(a)
	y, ok2 := parseIP(b)
	return ok && ok2 && x == y
}

// equalParams compares uri-parameters: those in both must match, and user, ttl, method, maddr and
// transport must be in both or in neither (RFC 3261, Section 19.1.4).
func equalParams(a, b string) bool {
	if equalFold(a, b) {
		return true
	}
	if countParams(a) > maxCompared || countParams(b) > maxCompared {
		return false
	}
	return paramsMatch(a, b) && paramsMatch(b, a)
}

func paramsMatch(a, b string) bool {
	w := uriParams{s: a}
	for w.next() {
		found := false
		x := uriParams{s: b}
		for x.next() {
			if equalEscaped(w.name, x.name, true) {
				if w.has != x.has || !equalEscaped(w.value, x.value, true) {
					return false
				}
				found = true
			}
		}
		if found {
			continue
		}
		for _, name := range [...]string{"user", "ttl", "method", "maddr", "transport"} {
			if equalEscaped(w.name, name, true) {
				return false
			}
		}
	}
	return true
}

// equalHeaders compares header components, of which none is ever ignored (RFC 3261, Section 19.1.4).
func equalHeaders(a, b string) bool {
	if a == b {
		return true
	}
	n := countParams(a)
	if n != countParams(b) || n > maxCompared {
		return false
	}
	w := uriParams{s: a}
	for w.next() {
		if countHeader(a, &w) != countHeader(b, &w) {
			return false
		}
	}
	return true
}

func countHeader(s string, like *uriParams) int {
	n := 0
	w := uriParams{s: s}
	for w.next() {
		if equalEscaped(w.name, like.name, true) && equalEscaped(w.value, like.value, true) {
			n++
		}
	}
	return n
}

func countParams(s string) int {
	n := 0
	for w := (uriParams{s: s}); w.next(); {
		n++
	}
	return n
}

// equalEscaped compares texts of a URI, where a character outside the reserved set is equivalent to
// its escape (RFC 3261, Section 19.1.4).
func equalEscaped(a, b string, fold bool) bool {
	if a == b {
		return true
	}
	for a != "" && b != "" {
		x, xReserved, n := unescape(a)
		y, yReserved, k := unescape(b)
		if fold {
			x, y = lower(x), lower(y)
		}
		if x != y || xReserved != yReserved {
			return false
		}
		a, b = a[n:], b[k:]
	}
	return a == "" && b == ""
}

// unescape returns the first character of s and how many bytes it takes. reserved says that it is an
// escape of a character of the reserved set, which is not equivalent to that character.
func unescape(s string) (c byte, reserved bool, n int) {
	if s[0] != '%' || len(s) < 3 || !is(s[1], charHex) || !is(s[2], charHex) {
		return s[0], false, 1
	}
	c = unhex(s[1])<<4 | unhex(s[2])
	switch c {
	case ';', '/', '?', ':', '@', '&', '=', '+', '$', ',':
		return c, true, 3
	}
	return c, false, 3
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}
