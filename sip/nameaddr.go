package sip

import "errors"

import "strings"

// NameAddr is a name-addr or addr-spec with parameters: the value of From, To, Contact, Route,
// Record-Route and others (RFC 3261, Section 20.10). Its strings are parts of the text that was parsed.
type NameAddr struct {
	// Display is the display name as written, with its quotes.
	Display string
	// Addr is the text of the URI, without angle brackets. It is "*" for a Contact of that value.
	Addr string
	// Params are the header field parameters with their leading ";".
	Params string
	// Bracketed says that the URI stood in angle brackets.
	Bracketed bool

	host  string // of the SIP URI, if the message's Validate has parsed that
	tags  uint8  // how many tag parameters Parse has seen: none, one, or more
	token bool   // the first is a token
	tag   string // its value
}

// ParseNameAddr parses one value. See [NameAddr.Parse].
func ParseNameAddr(s string) (*NameAddr, error) {
	n := new(NameAddr)
	if err := n.Parse(s); err != nil {
		return nil, err
	}
	return n, nil
}

// Parse reads one value, which must be the whole of s. The URI is not looked into, beyond that it
// holds no white space. The result refers to s.
func (n *NameAddr) Parse(s string) error {
	if err := n.parse(s); err != nil {
		return err
	}
	if !all(n.Addr, charURI) {
		return bad("name-addr", "no URI, or a character that no URI may hold")
	}
	return nil
}

// parseURI is Parse and URI.Parse in one. The error of the second is uriErr.
func (n *NameAddr) parseURI(s string, u *URI) (err, uriErr error) {
	if err := n.parse(s); err != nil {
		return err, nil
	}
	// Whatever is a URI holds only characters that one may hold.
	if uriErr = u.Parse(n.Addr); uriErr != nil && !all(n.Addr, charURI) {
		return bad("name-addr", "no URI, or a character that no URI may hold"), nil
	}
	return nil, uriErr
}

// parse does the work of Parse, but does not look at the characters of the URI.
func (n *NameAddr) parse(s string) error {
	const part = "name-addr"
	*n = NameAddr{}
	i := skipSpace(s, 0)
	from := i
	switch {
	case i == len(s) || s[i] == '<':
	case s[i] == '"':
		if i = quoted(s, i); i < 0 {
			return bad(part, "quoted string without an end")
		}
		n.Display = s[from:i]
		if i = skipSpace(s, i); i == len(s) || s[i] != '<' {
			return bad(part, "no < behind the display name")
		}
	default:
		for i < len(s) && charClass[s[i]]&charName != 0 {
			i++
		}
		if i < len(s) && s[i] == '<' {
			n.Display = trim(s[from:i])
		} else {
			i = from
		}
	}
	if i < len(s) && s[i] == '<' {
		gt := strings.IndexByte(s[i:], '>')
		if gt < 0 {
			return bad(part, "no >")
		}
		n.Addr, n.Bracketed = s[i+1:i+gt], true
		i += gt + 1
	} else {
		// Without brackets what follows a semicolon belongs to the header field, and a URI with a
		// comma or question mark must have them: RFC 3261, Section 20.
		from = i
		for i < len(s) && s[i] != ';' && !isSpace(s[i]) {
			if s[i] == ',' || s[i] == '?' {
				return bad(part, "URI needs angle brackets")
			}
			i++
		}
		n.Addr = s[from:i]
	}
	n.Params = s[skipSpace(s, i):]
	if n.Params != "" && !n.params() {
		return bad(part, "malformed parameters")
	}
	return nil
}

// params reads the parameters.
func (n *NameAddr) params() bool {
	p := params{s: n.Params}
	for p.next() {
		if len(p.name) != 3 || !equalFold(p.name, "tag") {
			continue
		}
		if n.tags == 0 {
			n.tags, n.tag, n.token = 1, p.value, p.token
		} else {
			n.tags = 2
		}
	}
	return !p.bad
}

// URI parses the URI of the value.
func (n *NameAddr) URI() (*URI, error) { return ParseURI(n.Addr) }

// Host returns the host of the URI, when that is a SIP or SIPS URI.
func (n *NameAddr) Host() (host string, ok bool) {
	if n.host != "" {
		return n.host, true
	}
	var u URI
	if u.Parse(n.Addr) != nil || !u.IsSIP() {
		return "", false
	}
	return u.Host, true
}

// Tag returns the tag parameter, empty when there is none.
func (n *NameAddr) Tag() string {
	if n.tags > 0 {
		return n.tag
	}
	v, _ := param(n.Params, "tag")
	return v
}

// Param returns the value of a header field parameter by name, in any case.
func (n *NameAddr) Param(name string) (string, bool) { return param(n.Params, name) }

// From returns the From of the message, parsed once.
func (m *Message) From() (*NameAddr, error) { return m.nameAddr(FieldFrom, &m.from, &m.fromState) }

// To returns the To of the message, parsed once.
func (m *Message) To() (*NameAddr, error) { return m.nameAddr(FieldTo, &m.to, &m.toState) }

func (m *Message) nameAddr(f Field, kept *NameAddr, state *parseState) (*NameAddr, error) {
	if *state == parsed {
		return kept, nil
	}
	v, ok := m.Value(f)
	if !ok {
		return nil, bad(f.String(), "missing")
	}
	if *state == untouched && kept.Parse(v) == nil {
		*state = parsed
		return kept, nil
	}
	*state = broken
	var n NameAddr
	return nil, inField(f, n.Parse(v))
}

// inField says in an error which header field it is about.
func inField(f Field, err error) error {
	if e, ok := errors.AsType[*SyntaxError](err); ok && f != FieldOther {
		return &SyntaxError{Field: f.String(), Text: e.Text, cause: e.cause}
	}
	return err
}
