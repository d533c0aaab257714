package transaction

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// TestRefuse: an INVITE that is refused at first sight leaves nothing behind over UDP, and nothing more is sent to a source
// that may be forged. When it comes again, it is refused again; its ACK is nobody's.
func TestRefuse(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		refuse := func(status int) {
			t.Helper()
			l.Receive(parse(t, invite()), source(f))
			tx := u.last()
			text := sip.AppendResponse(nil, parse(t, invite()), status, "", tx.Tag())
			if err := tx.Refuse(text, status); err != nil {
				t.Fatal(err)
			}
			if err := tx.Refuse(text, status); !errors.Is(err, ErrEnded) {
				t.Errorf("again: %v", err)
			}
		}
		refuse(403)
		expectEmpty(t, l)
		first := f.takeWhole()
		after(40 * time.Second)
		refuse(403)
		if again := f.takeWhole(); len(first) != 1 || len(again) != 1 || first[0] != again[0] {
			t.Errorf("sent %q, and %q when it came again", first, again)
		}
		to, err := parse(t, first[0]).To()
		if err != nil {
			t.Fatal(err)
		}
		l.Receive(parse(t, strings.Replace(ack(), "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag="+to.Tag(), 1)), source(f))
		u.expect(t, "no ACK", "request INVITE", "request INVITE")

		c := tls(1, "a")
		l.Receive(parse(t, invite()), source(c))
		tx := u.last()
		if err := tx.Refuse(sip.AppendResponse(nil, parse(t, invite()), 403, "", tx.Tag()), 403); err != nil {
			t.Fatal(err)
		}
		l.Receive(parse(t, invite()), source(c))
		c.expect(t, "what arrives is kept", "403", "403")
	})
}
