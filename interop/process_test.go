//go:build interop

package interop

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test started.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string // a file with what it wrote
	ended chan struct{}
	err   error // how it ended; set before ended is closed
}

// start runs a program in its own process group until the test ends at the latest.
func start(t *testing.T, name, dir, program string, args ...string) *process {
	t.Helper()
	return launch(t, name, dir, exec.Command(program, args...))
}

// launch is start for a program whose standard input is set, for one.
func launch(t *testing.T, name, dir string, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: name, cmd: cmd, log: log.Name(), ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	// ends when the program has ended
	go func() {
		p.err = p.cmd.Wait()
		log.Close()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.tail(t))
		}
	})
	return p
}

// tail is the end of what the program wrote.
func (p *process) tail(t *testing.T) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Log(err)
	}
	return string(text[max(0, len(text)-6000):])
}

// awaitText waits until the program has written a text so many times.
func (p *process) awaitText(t *testing.T, want string, times int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(15 * time.Second)
	for {
		text, err := os.ReadFile(p.log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), want) >= times {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s has not written %q %d times", p.name, want, times)
		}
	}
}

// stop ends the program and its children: first it is asked, then it is made to.
func (p *process) stop() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-p.ended:
			return
		default:
		}
		if err := syscall.Kill(-p.cmd.Process.Pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			panic(err)
		}
		select {
		case <-p.ended:
			return
		case <-time.After(5 * time.Second):
		}
	}
	<-p.ended
}

// wait waits for the program's own end.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("%s: %w", p.name, p.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s did not end: %w", p.name, ctx.Err())
	}
}

// socket is a line of the kernel's table of sockets.
type socket struct {
	local, remote netip.AddrPort
	state         int
}

// States of a socket in the kernel's tables.
const (
	established = 1
	unconnected = 7 // a UDP socket that takes from anybody
	listening   = 10
)

// sockets reads the kernel's table for a protocol, udp or tcp, over IPv4.
func sockets(t *testing.T, protocol string) []socket {
	t.Helper()
	text, err := os.ReadFile("/proc/net/" + protocol)
	if err != nil {
		t.Fatal(err)
	}
	var list []socket
	for _, line := range strings.Split(string(text), "\n")[1:] {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		state, err := strconv.ParseInt(fields[3], 16, 32)
		if err != nil {
			t.Fatalf("/proc/net/%s: %v", protocol, err)
		}
		list = append(list, socket{kernelAddress(t, fields[1]), kernelAddress(t, fields[2]), int(state)})
	}
	return list
}

// kernelAddress reads an address as the kernel prints it: the bytes in the machine's order, which is the
// little end first on every machine that CI has, then the port.
func kernelAddress(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	ip, port, _ := strings.Cut(text, ":")
	bytes, err := hex.DecodeString(ip)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(bytes)
	addr, ok := netip.AddrFromSlice(bytes)
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !ok {
		t.Fatalf("no address: %q", text)
	}
	return netip.AddrPortFrom(addr, uint16(number))
}

// awaitListening waits until something takes what comes to an address.
func (p *process) awaitListening(t *testing.T, protocol string, addr netip.AddrPort) {
	t.Helper()
	want := map[string]int{"tcp": listening, "udp": unconnected}[protocol]
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(15 * time.Second)
	listens := func() bool {
		return slices.ContainsFunc(sockets(t, protocol), func(s socket) bool { return s.local == addr && s.state == want })
	}
	if protocol == "sctp" {
		listens = func() bool { return listensForAssociations(t, addr) }
	}
	for !listens() {
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s ended before it listened on %s %s: %v", p.name, protocol, addr, p.err)
		case <-late:
			t.Fatalf("%s does not listen on %s %s", p.name, protocol, addr)
		}
	}
}

// connections counts the TLS connections that stand between two proxies, by who dialed them.
func connections(t *testing.T, p1, p2 netip.Addr) (dialedByP1, dialedByP2 int) {
	t.Helper()
	for _, s := range sockets(t, "tcp") {
		if s.state != established || s.local.Addr() != p1 || s.remote.Addr() != p2 {
			continue // the other ends of the same connections are lines of their own
		}
		switch {
		case s.remote.Port() == tlsPort:
			dialedByP1++
		case s.local.Port() == tlsPort:
			dialedByP2++
		default:
			t.Errorf("a connection between the proxies that is none of TLS: %v to %v", s.local, s.remote)
		}
	}
	return dialedByP1, dialedByP2
}
