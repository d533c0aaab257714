package proxy

import (
	"testing"
	"time"
)

// TestUpdateDialogKey changes the dialog key during dialogs: those of the key before go on, those of the one
// before that do not, and without a key in the new rules nothing changes.
func TestUpdateDialogKey(t *testing.T) {
	keys := [][]byte{[]byte("first key, long enough for anybody"), []byte("second key, long enough for anyone"), []byte("third key, long enough for us all!")}
	for name, tt := range map[string]struct {
		turns [][]byte
		good  bool
	}{
		"no key":       {[][]byte{nil, nil}, true},
		"the same":     {[][]byte{keys[0], keys[0]}, true},
		"another":      {[][]byte{keys[1]}, true},
		"another, nil": {[][]byte{keys[1], nil}, true},
		"two others":   {[][]byte{keys[1], keys[2]}, false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{DialogKey: keys[0]}, func(b *bench) {
				c := b.stranger()
				callID, route, _ := dialogOf(b, c, "<sip:alice@198.51.100.20:5090>")
				for _, key := range tt.turns {
					r := testRules("sip:198.51.100.7:5070;transport=udp")
					r.DialogKey = key
					b.core.Update(r)
				}
				c.send(c.request("BYE", "sip:bob@10.0.0.7:5070", "Route: "+route, "Call-ID: "+callID, "To: <sip:bob@example.com>;tag=b1"))
				if !tt.good {
					c.expect("403")
					return
				}
				b.at("udp:10.0.0.7:5070").one("BYE")
			})
		})
	}
}

// TestUpdateTimerC checks that Timer C is that of the rules a request began with.
func TestUpdateTimerC(t *testing.T) {
	run(t, Config{TimerC: 200 * time.Second}, func(b *bench) {
		r := testRules("sip:198.51.100.7:5070;transport=udp")
		r.TimerC = 240 * time.Second
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(agent).answer(b.at(agent).one("INVITE"), 180)
		c.expect("180")
		if got := b.core.rules.Load().timerC; got != 200*time.Second {
			t.Errorf("Timer C is %v", got)
		}
		b.core.Update(r)
		if got := b.core.rules.Load().timerC; got != 240*time.Second {
			t.Errorf("Timer C is %v after an update", got)
		}
		wait(201 * time.Second)
		b.at(agent).one("CANCEL")
	})
}
