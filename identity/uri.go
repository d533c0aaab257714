package identity

import (
	"strings"
)

// uriHost returns the host of a URI that stands in a certificate, if the URI is a SIP domain
// identity by RFC 5922, Section 7.1: its scheme is sip (sips is another scheme), in any case of
// its letters, there is no '@' anywhere, and it is a SIP-URI by RFC 3261, Section 25.1. The host
// is in the form of normalSAN. It is parsed here and not with net/url, to which every SIP-URI is
// an opaque string and "sip://example.com" is one with a host.
func uriHost(uri string) (host string, ok bool) {
	if len(uri) < 4 || !strings.EqualFold(uri[:4], "sip:") {
		return "", false
	}
	if strings.IndexByte(uri, '@') >= 0 {
		return "", false
	}
	return hostport(uri[4:])
}

// hostport reads the part of a SIP-URI behind the userinfo.
func hostport(rest string) (host string, ok bool) {
	end := strings.IndexAny(rest, ":;?")
	if end < 0 {
		end = len(rest)
	}
	host, ok = normalSAN(rest[:end])
	if !ok {
		return "", false
	}
	rest = rest[end:]
	if strings.HasPrefix(rest, ":") {
		n := 1
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		if !isPort(rest[1:n]) {
			return "", false
		}
		rest = rest[n:]
	}
	params, headers, hasHeaders := strings.Cut(rest, "?")
	if !isParams(params) || hasHeaders && !isHeaders(headers) {
		return "", false
	}
	return host, true
}

func isPort(s string) bool {
	if len(s) == 0 || len(s) > 5 {
		return false
	}
	v := 0
	for i := range len(s) {
		v = v*10 + int(s[i]-'0')
	}
	return v <= 65535
}

// isParams holds s against *( ";" pname [ "=" pvalue ] ).
func isParams(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ';' {
		return false
	}
	for param := range strings.SplitSeq(s[1:], ";") {
		name, value, has := strings.Cut(param, "=")
		if !isChars(name, "[]/:&+$") || has && !isChars(value, "[]/:&+$") {
			return false
		}
	}
	return true
}

// isHeaders holds s against header *( "&" header ), where a header is hname "=" [ hvalue ].
func isHeaders(s string) bool {
	for header := range strings.SplitSeq(s, "&") {
		name, value, has := strings.Cut(header, "=")
		if !has || !isChars(name, "[]/?:+$") || value != "" && !isChars(value, "[]/?:+$") {
			return false
		}
	}
	return true
}

// isChars reports whether s is one or more characters, each unreserved, escaped or in extra.
func isChars(s, extra string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isAlnum(c) || strings.IndexByte("-_.!~*'()", c) >= 0 || strings.IndexByte(extra, c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		default:
			return false
		}
	}
	return s != ""
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
