package sip

import "errors"

// singletons are the fields that a message may have once, long and compact forms counted together
// (RFC 3261, Section 7.3.1).
var singletons = [...]Field{
	FieldFrom, FieldTo, FieldCallID, FieldCSeq, FieldMaxForwards, FieldContentLength,
	FieldContentType, FieldMaxBreadth,
}

// singletonBits has a bit for each of them.
var singletonBits = func() (bits uint64) {
	for _, f := range singletons {
		bits |= 1 << f
	}
	return bits
}()

// Validate judges what an element on the way must understand: that the mandatory fields are there
// (RFC 3261, Section 8.1.1), that what may stand once is not repeated, and in requests the
// Request-URI, Max-Forwards, Route, Contact and the URIs in From and To; in all messages the topmost Via, From, To,
// Call-ID and CSeq. It does not look at what only endpoints read. A missing Max-Forwards, branch or From tag passes, since RFC 2543 had none; so do
// unknown methods and URI schemes. It touches everything that a Message parses on touch.
//
// The error is a *[SyntaxError]. That there is none is remembered.
func (m *Message) Validate() error {
	if m.valid {
		return nil
	}
	m.routeCount = 0
	err := m.validate()
	m.valid = err == nil
	return err
}

func (m *Message) validate() error {
	if m.IsRequest() {
		u, err := m.URI()
		if err != nil {
			return inPart("Request-URI", err)
		}
		// Headers in a Request-URI are not allowed: RFC 3261, Section 19.1.1.
		if u.Headers != "" {
			return bad("Request-URI", "has header components")
		}
	}
	if m.repeated&singletonBits != 0 {
		for _, f := range singletons {
			if m.repeated&(1<<f) != 0 {
				return bad(f.String(), "repeated")
			}
		}
	}
	if err := m.validateVia(); err != nil {
		return err
	}
	if err := m.validateDialog(); err != nil {
		return err
	}
	c, err := m.CSeq()
	if err != nil {
		return err
	}
	if len(c.Method) > MaxToken {
		return tooLong("CSeq", "method is too long")
	}
	if !m.IsRequest() {
		return nil
	}
	if c.Method != m.Method() {
		return bad("CSeq", "method is not that of the request")
	}
	if _, _, err := m.MaxForwards(); err != nil {
		return err
	}
	if err := m.validateRoutes(); err != nil {
		return err
	}
	return m.validateContacts()
}

func (m *Message) validateVia() error {
	v, err := m.TopVia()
	if err != nil {
		return err
	}
	if len(v.Branch) > MaxToken || len(v.Transport) > MaxToken {
		return tooLong("Via", "branch or transport is too long")
	}
	// A branch that is the cookie and nothing else identifies no transaction: RFC 4475, Section 3.2.1.
	if v.Branch == BranchCookie {
		return bad("Via", "branch is empty behind the cookie")
	}
	return nil
}

// validateDialog checks From, To and Call-ID.
func (m *Message) validateDialog() error {
	if err := m.validateParty(FieldFrom, &m.from, &m.fromState); err != nil {
		return err
	}
	if err := m.validateParty(FieldTo, &m.to, &m.toState); err != nil {
		return err
	}
	id, ok := m.Value(FieldCallID)
	if !ok {
		return bad("Call-ID", "missing")
	}
	if len(id) > MaxToken {
		return tooLong("Call-ID", "too long")
	}
	return validCallID(id)
}

// validateParty checks From or To: the tag, and in requests the URI.
func (m *Message) validateParty(f Field, n *NameAddr, state *parseState) error {
	var u URI
	var err error
	if !m.IsRequest() {
		_, err = m.nameAddr(f, n, state)
		if err != nil {
			return err
		}
	} else if v, ok := m.Value(f); ok && *state == untouched {
		*state = broken
		var whole error
		if whole, err = n.parseURI(v, &u); whole != nil {
			return inField(f, whole)
		}
		*state = parsed
		if err == nil && u.IsSIP() {
			n.host = u.Host
		}
	} else if _, err = m.nameAddr(f, n, state); err != nil {
		return err
	} else {
		err = u.Parse(n.Addr)
	}
	if err != nil {
		return inField(f, err)
	}
	if n.tags == 0 {
		return nil
	}
	if len(n.tag) > MaxToken {
		return tooLong(f.String(), "tag is too long")
	}
	if !n.token {
		return bad(f.String(), "tag is not a token")
	}
	// Of two tags each hop might take another: RFC 3261, Section 7.3.1.
	if n.tags > 1 {
		return bad(f.String(), "tag is repeated")
	}
	return nil
}

// validCallID checks word [ "@" word ].
func validCallID(s string) error {
	at := -1
	for i := 0; i < len(s); i++ {
		if is(s[i], charWord) {
			continue
		}
		if s[i] != '@' || at >= 0 || i == 0 || i == len(s)-1 {
			return bad("Call-ID", "malformed")
		}
		at = i
	}
	if s == "" {
		return bad("Call-ID", "empty")
	}
	return nil
}

// validateContacts checks that all values of Contact are addresses.
func (m *Message) validateContacts() error {
	for i := m.firstLine(FieldContact); i >= 0; i = m.nextLine(FieldContact, i+1) {
		l := m.list(m.line(i))
		for l.next() {
			var n NameAddr
			var u URI
			err, uriErr := n.parseURI(m.raw[l.start:l.end], &u)
			if err != nil {
				return inField(FieldContact, err)
			}
			if uriErr != nil && n.Addr != "*" {
				return inField(FieldContact, uriErr)
			}
		}
		if l.empty {
			return bad("Contact", "empty value in the list")
		}
	}
	return nil
}

func inPart(part string, err error) error {
	if e, ok := errors.AsType[*SyntaxError](err); ok {
		return &SyntaxError{Field: part, Text: e.Text, cause: e.cause}
	}
	return err
}
