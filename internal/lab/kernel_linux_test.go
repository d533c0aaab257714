package lab

import (
	"strings"
	"testing"
)

func TestCountConnections(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := func(local, remote, state string) string {
		return "   0: " + local + " " + remote + " " + state + " 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
	}
	const p1, p2, p1tls, p2tls = "0B00007F:C001", "0C00007F:C002", "0B00007F:13C5", "0C00007F:13C5"
	tests := []struct {
		name, table string
		want        int
	}{
		{"none", head, 0},
		{"one, seen from both ends", head + line(p1, p2tls, "01") + line(p2tls, p1, "01"), 1},
		{"one each way", line(p2tls, p1, "01") + line(p1, p2tls, "01") + line(p1tls, p2, "01") + line(p2, p1tls, "01"), 2},
		{"listening", line(p2tls, "00000000:0000", "0A"), 0},
		{"closing", line(p2tls, p1, "06"), 0},
		{"somebody else's", line(p2tls, "0100007F:C001", "01"), 0},
		{"another port", line("0C00007F:13C4", p1, "01"), 0},
		{"nonsense", "a\nb c d 01\n" + strings.Repeat("x", 100), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := countConnections([]byte(tt.table), testPlace()); got != tt.want {
				t.Errorf("%d connections, want %d", got, tt.want)
			}
		})
	}
}
