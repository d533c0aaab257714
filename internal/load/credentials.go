package load

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// A challenged request is sent again with credentials, and later requests of the call have them at once, with the next
// nonce count: RFC 3261, Section 22.2 and RFC 3261, Section 22.3.

const (
	maxRealms = 4 // that one end of a call has credentials for
	maxTries  = 5 // of one request; more are wanted only by who finds each nonce stale
)

// challenged answers a 401 or 407 to a request, which is sent again. It reports false when nothing comes of that, because
// no password is there, or the credentials were refused.
func (e *engine) challenged(l *leg, t *clientTx, m *sip.Message, now instant) bool {
	if s := m.StatusCode(); s != 401 && s != 407 {
		return false
	}
	tally := l.call.tally
	tally.challenged++
	tally.record(challengedAfter, now-t.intended)
	if e.cfg.Password == "" || t.tries == maxTries {
		return false
	}
	accepted, f := l.takeChallenges(m, t.tries+1)
	switch {
	case f != nil:
		e.fail(l, m, f, now)
		return true
	case !accepted:
		return false
	}
	if l.user == "" {
		l.user = userOf(l.from)
	}
	tally.answered++
	e.send(l, t.method, t.measure, t.tries+1, t.intended, now)
	return true
}

// userOf is the user of the URI in a name-addr.
func userOf(text string) string {
	name, err := sip.ParseNameAddr(text)
	if err != nil {
		return ""
	}
	uri, err := name.URI()
	if err != nil {
		return ""
	}
	return strings.Clone(uri.User)
}

// takeChallenges takes from a response what the next requests have to answer. It reports false when one was answered
// before with the same request, and was not merely stale. Of several in one realm the first that is understood counts:
// RFC 8760, Section 2.4.
func (l *leg) takeChallenges(m *sip.Message, try uint8) (accepted bool, f *fault) {
	seen := 0
	for name, value := range m.Lines() {
		proxy := strings.EqualFold(name, fieldProxyChallenge)
		if !proxy && !strings.EqualFold(name, fieldChallenge) {
			continue
		}
		seen++
		c, err := readChallenge(value)
		if errors.Is(err, errUnsupported) {
			continue
		}
		if err != nil {
			return false, faulty("response: challenge", "%v: %s", err, value)
		}
		i := slices.IndexFunc(l.challenges, func(o challenge) bool { return o.proxy == proxy && o.realm == c.realm })
		switch {
		case i < 0 && len(l.challenges) == maxRealms:
			return false, faulty("response: challenge", "more than %d realms", maxRealms)
		case i < 0:
			i = len(l.challenges)
			l.challenges = append(l.challenges, challenge{})
		case l.challenges[i].try == try:
			continue
		case l.challenges[i].try > 0 && !c.stale:
			return false, nil
		}
		c.realm, c.nonce, c.opaque = strings.Clone(c.realm), strings.Clone(c.nonce), strings.Clone(c.opaque)
		c.proxy, c.try = proxy, try
		l.challenges[i] = c
		accepted = true
	}
	switch {
	case accepted:
		return true, nil
	case seen == 0:
		return false, faulty("response: no challenge", "in a %d", m.StatusCode())
	}
	return false, faulty("response: challenge", "%v", errUnsupported)
}

// appendCredentials writes what answers the challenges that the end has met. An ACK has what its INVITE had
// (RFC 3261, Section 22.1), and a CANCEL nothing, for nobody may challenge it.
func (e *engine) appendCredentials(dst []byte, l *leg, method string) []byte {
	switch {
	case len(l.challenges) == 0 || method == sip.MethodCancel:
		return dst
	case method == sip.MethodAck:
		return append(dst, l.vouched...)
	}
	start := len(dst)
	var room [16]byte
	for i := range l.challenges {
		cnonce := strconv.AppendUint(room[:0], rand.Uint64(), 16)
		dst = l.challenges[i].appendCredentials(dst, l.user, e.cfg.Password, method, l.target, cnonce)
	}
	if method == sip.MethodInvite {
		l.vouched = append(l.vouched[:0], dst[start:]...)
	}
	return dst
}
