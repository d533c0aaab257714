package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestServeReload has a proxy read its configuration again, with what is wrong with it and with what is right.
func TestServeReload(t *testing.T) {
	path, notified := systemd(t)

	s := start(t, onFreePorts, "NOTIFY_SOCKET="+path)
	udp := s.until("udp://")
	s.until("msg=serving")
	notification(t, notified)
	address := udp[strings.Index(udp, "udp://")+len("udp://"):]
	ask(t, address, "MESSAGE", "sip:bob@example.org", "SIP/2.0 403 ")

	reload := func(settings, want string, told ...string) {
		t.Helper()
		if err := os.WriteFile(s.file, []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		s.cmd.Process.Signal(syscall.SIGHUP)
		usec := `\nMONOTONIC_USEC=\d{6,}`
		if runtime.GOOS != "linux" {
			usec = ""
		}
		if got := notification(t, notified); !regexp.MustCompile("^RELOADING=1" + usec + "$").MatchString(got) {
			t.Errorf("notified of %q", got)
		}
		for _, line := range told {
			if got := s.until("refused"); !strings.Contains(got, "tandem.yaml:"+line) {
				t.Errorf("logged %s, want %s", got, line)
			}
		}
		s.until(want)
		if got := notification(t, notified); !strings.HasPrefix(got, "READY=1\nSTATUS=") || strings.Contains(got, "refused") != (len(told) > 0) {
			t.Errorf("notified of %q", got)
		}
	}
	reload(onFreePorts+"domain: x\ntimers: {t1: 1h}\n", "goes on", "8: domain: unknown key", "9: timers.t1: ")
	reload(strings.Replace(onFreePorts, "tcp://127.0.0.1:0", "tcp://127.0.0.1:1", 1)+"limits: {queue: 8KiB}\nlog: {format: json}\n",
		"goes on", "3: listen[1]: tcp://127.0.0.1:1 is new", "8: limits.queue: it (8192 instead of 262144) cannot be changed", "9: log.format: ")
	ask(t, address, "MESSAGE", "sip:bob@example.org", "SIP/2.0 403 ")
	reload(onFreePorts+"  - {name: example.org}\nlog: {level: debug}\n", "msg=reloaded")
	ask(t, address, "MESSAGE", "sip:bob@example.org", "SIP/2.0 404 ") // served, and without a route
	reload(onFreePorts, "msg=reloaded")
	ask(t, address, "MESSAGE", "sip:bob@example.org", "SIP/2.0 403 ")

	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, strings.Join(s.log, "\n"))
	}
}

// TestServeDefaultReload reloads the embedded default.
func TestServeDefaultReload(t *testing.T) {
	c := &serveCommand{state: t.TempDir()}
	one, err := c.load()
	if err != nil {
		t.Fatal(err)
	}
	two, err := c.load()
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(one.Domains[0].Certificate.Leaf.SerialNumber) != fmt.Sprint(two.Domains[0].Certificate.Leaf.SerialNumber) {
		t.Error("a reload makes another certificate")
	}
}
