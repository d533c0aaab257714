package main

import (
	"strings"
	"testing"
)

// TestComplete: what a shell is told has what the proxy knows in it.
func TestComplete(t *testing.T) {
	t.Parallel()
	s, admin := connected(t)
	for _, c := range []struct{ line, want string }{
		{"conn", "\nconnections\tList the connections of a running proxy, or act on one\n"},
		{"connections close ", "\n1\topen accepted tcp, 127.0.0.1:"},
		{"connections --sort -last", "\n-last_used\tthe other way round\n"},
		{"connections --where sta", "\nstate=\t\n"},
		{"connections --where state=op", "\nstate=open\t\n"},
		{"connections --where=transport=", "\n--where=transport=tcp\t\n--where=transport=tls\t\n"},
		{"connections --where source_address=", "\nsource_address=127.0.0.1:"},
		{"peers --where name=", "\nname=partner\t\n"},
		{"peers --where identity=", "\nidentity=partner.example\t\n"},
		{"explain sip:a --from ", "\nexample.com\t\n"},
		{"validate --config ", "file\n"},
		{"man --dir ", "directory\n"},
		{"completion ", "\nbash\t\nzsh\t\nfish\t\n"},
		{"connections close --admin 127.0.0.1:1 ", "\n"}, // nobody answers
	} {
		stdout, stderr, code := s.asks(admin, append([]string{"__complete"}, strings.Split(c.line, " ")...)...)
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, c.want) {
			t.Errorf("%q: exit code %d, want %q\n%s%s", c.line, code, c.want, stdout, stderr)
		}
	}
}
