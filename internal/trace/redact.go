package trace

import "bytes"

// redact overwrites the secrets in a message with x, so that its length stays what it is: what answers a challenge
// (Authorization and Proxy-Authorization: for Digest all but what names the user and repeats the challenge, for any
// other scheme everything), passwords in URIs, the keys of media (RFC 4568, Section 9.1; RFC 4567, Section 3;
// RFC 8866, Section 5.12) and the password of ICE (RFC 8839, Section 5.4). It looks at all lines, also those of bodies
// inside bodies.
func redact(b []byte) {
	secret := false // the line goes on with a header field that has secrets
	for rest := b; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i]
			rest = rest[i+1:]
		} else {
			rest = nil
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case len(line) == 0:
			secret = false
		case secret && (line[0] == ' ' || line[0] == '\t'):
			redactParams(line)
		case len(line) > 2 && line[1] == '=':
			secret = false
			redactSDP(line)
		default:
			secret = redactField(line)
		}
	}
}

// redactField looks at a header field line or a start line, and reports whether a line that goes on with it has secrets
// too.
func redactField(line []byte) bool {
	redactURIs(line)
	name, value, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimSpace(name)
	if !found || !bytes.EqualFold(name, []byte("Authorization")) && !bytes.EqualFold(name, []byte("Proxy-Authorization")) {
		return false
	}
	value = bytes.TrimLeft(value, " \t")
	scheme, params, _ := bytes.Cut(value, []byte(" "))
	if !bytes.EqualFold(scheme, []byte("Digest")) {
		blank(params)
		return true
	}
	redactParams(params)
	return true
}

// openParams are the parameters of Digest credentials that are no secret: RFC 7616, Section 3.4.
var openParams = [][]byte{
	[]byte("username"), []byte("realm"), []byte("nonce"), []byte("uri"), []byte("algorithm"), []byte("cnonce"),
	[]byte("opaque"), []byte("qop"), []byte("nc"),
}

// redactParams overwrites the values of parameters that are not known to be harmless.
func redactParams(s []byte) {
	for len(s) > 0 {
		end := paramEnd(s)
		one := s[:end]
		s = s[min(len(s), end+1):]
		name, value, found := bytes.Cut(one, []byte("="))
		if !found {
			blank(one)
			continue
		}
		name = bytes.TrimSpace(name)
		open := false
		for _, o := range openParams {
			open = open || bytes.EqualFold(name, o)
		}
		if !open {
			blank(value)
		}
	}
}

// paramEnd returns where the first parameter ends: at a comma outside of quotation marks, within which a backslash takes
// the meaning of what follows it.
func paramEnd(s []byte) int {
	quoted, escaped := false, false
	for i, c := range s {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = quoted
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return len(s)
}

// redactURIs overwrites the passwords of the URIs in a line.
func redactURIs(line []byte) {
	for {
		i := bytes.IndexByte(line, '@')
		if i < 0 {
			return
		}
		before := line[:i]
		line = line[i+1:]
		start := bytes.LastIndexAny(before, "<>\", \t") + 1
		uri := before[start:]
		if len(uri) < 4 || !bytes.EqualFold(uri[:3], []byte("sip")) {
			continue
		}
		_, user, found := bytes.Cut(uri, []byte(":"))
		if _, password, has := bytes.Cut(user, []byte(":")); found && has {
			blank(password)
		}
	}
}

// redactSDP overwrites the keys in a line of SDP.
func redactSDP(line []byte) {
	kind, value, found := bytes.Cut(line, []byte(":"))
	if !found {
		return
	}
	switch {
	case bytes.EqualFold(kind, []byte("a=crypto")):
		for {
			i := indexFold(value, "inline:")
			if i < 0 {
				return
			}
			value = value[i+len("inline:"):]
			end := bytes.IndexAny(value, "|; \t")
			if end < 0 {
				end = len(value)
			}
			blank(value[:end])
			value = value[end:]
		}
	case bytes.EqualFold(kind, []byte("a=key-mgmt")), bytes.EqualFold(kind, []byte("k=clear")), bytes.EqualFold(kind, []byte("k=base64")),
		bytes.EqualFold(kind, []byte("k=uri")), bytes.EqualFold(kind, []byte("a=ice-pwd")):
		if bytes.EqualFold(kind, []byte("a=key-mgmt")) {
			value = value[bytes.IndexByte(value, ' ')+1:]
		}
		blank(value)
	}
}

// indexFold is bytes.Index in which ASCII letters are the same in either case. What is no UTF-8 keeps its place.
func indexFold(s []byte, text string) int {
	for i := 0; i+len(text) <= len(s); i++ {
		if bytes.EqualFold(s[i:i+len(text)], []byte(text)) {
			return i
		}
	}
	return -1
}

// blank overwrites everything but spaces, and the quotes and backslashes that say where a text ends.
func blank(s []byte) {
	for i, c := range s {
		if c != '"' && c != '\\' && c != ' ' && c != '\t' {
			s[i] = 'x'
		}
	}
}
