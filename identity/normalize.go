package identity

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Lengths of DNS names: RFC 1035, Section 2.3.4.
const (
	maxName  = 253
	maxLabel = 63
)

// Normalize returns the form in which the domain name host is compared: A-labels in lower case
// (RFC 5280, Section 7.2), without the dot that may end it, because "example.com." and "example.com"
// are one DNS name and RFC 3261, Section 25.1 allows both as a host. It reports false for what is no
// host name by that grammar: an IP address, an empty or too long label, a wildcard, a percent escape,
// an underscore. A name in lower-case ASCII is returned without allocating.
func Normalize(host string) (name string, ok bool) {
	if !isASCII(host) {
		if len(host) > 4*maxName || !utf8.ValidString(host) {
			return "", false
		}
		a, err := idna.Lookup.ToASCII(trimDot(host))
		if err != nil {
			return "", false
		}
		host = a
	}
	host = trimDot(host)
	if !isHostname(host) {
		return "", false
	}
	return strings.ToLower(host), true
}

// normalSAN is Normalize for a name that stands in a certificate. There a U-label cannot be, by
// RFC 5280, Section 7.2, and a wildcard label in front stays: it names itself and nothing else
// by RFC 5922, Section 7.2.
func normalSAN(host string) (name string, ok bool) {
	if !isASCII(host) {
		return "", false
	}
	if rest, found := strings.CutPrefix(host, "*."); found {
		name, ok = Normalize(rest)
		return "*." + name, ok && len(name)+2 <= maxName
	}
	return Normalize(host)
}

// isHostname holds s against the hostname of RFC 3261, Section 25.1, less the dot at its end. The
// last label begins with a letter, which is what tells a name from an IPv4 address.
func isHostname(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if c := s[i]; !isAlnum(c) && c != '-' {
				return false
			}
			continue
		}
		label := s[start:i]
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if i == len(s) && !isAlpha(label[0]) {
			return false
		}
		start = i + 1
	}
	return true
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// trimDot removes one dot from the end of a name that is more than a dot.
func trimDot(s string) string {
	if len(s) > 1 && s[len(s)-1] == '.' {
		return s[:len(s)-1]
	}
	return s
}

// quote makes text of a peer's fit a log line: escaped, in quotes, and cut.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
