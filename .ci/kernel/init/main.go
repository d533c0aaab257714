// Command init is the first process of a Linux in a process of its own (user-mode Linux) that has what the
// kernel of the machine has not: SCTP. It loads that, runs the programs of the kernel's command line, says how
// they ended, and ends that Linux.
//
//	modules=DIRECTORY run=PROGRAM,ARGUMENT,... [sctp=no] [tandem=FILE]
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// always are the modules that are always loaded, in order, and forSCTP those that SCTP needs besides. Some may be
// built in.
var (
	always  = []string{"crypto/hmac", "crypto/sha1_generic", "crypto/crc32c_generic", "lib/libcrc32c", "lib/crc-ccitt", "net/ipv6/ipv6"}
	forSCTP = []string{"net/ipv4/udp_tunnel", "net/ipv6/ip6_udp_tunnel", "net/sctp/sctp"}
)

func main() {
	code := 0
	if err := start(); err != nil {
		fmt.Println("kernel:", err)
		code = 1
	}
	fmt.Printf("\nkernel: ended with %d\n", code)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// start prepares the machine and runs the program.
func start() error {
	for _, m := range []struct{ what, where string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}} {
		if err := unix.Mount(m.what, m.where, m.what, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	arguments := make(map[string]string)
	for _, field := range strings.Fields(string(line)) {
		key, value, _ := strings.Cut(field, "=")
		arguments[key] = value
	}
	modules := always
	if arguments["sctp"] != "no" {
		modules = append(modules, forSCTP...)
	}
	for _, name := range modules {
		if err := load(filepath.Join(arguments["modules"], name+".ko")); err != nil {
			return err
		}
	}
	if arguments["sctp"] != "no" { // the port of RFC 6951; where this fails there is no SCTP
		if err := os.WriteFile("/proc/sys/net/sctp/udp_port", []byte("9899"), 0); err != nil {
			return err
		}
	}
	// Packets of the usual length. Together with SCTP over UDP this kernel loses bursts that it sends as one
	// large packet, and so it sends none.
	for _, command := range []string{"ip link set lo mtu 1500 up", "ip link set lo gso_max_size 1400 gso_max_segs 1"} {
		words := strings.Fields(command)
		if out, err := exec.Command("/usr/sbin/"+words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	run := strings.Split(arguments["run"], ",")
	c := exec.Command(run[0], run[1:]...)
	c.Dir = filepath.Dir(run[0])
	c.Stdout, c.Stderr = os.Stdout, os.Stdout
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=/run", "HOME=/run", "TANDEM_BINARY=" + arguments["tandem"]}
	return c.Run()
}

// load loads a module, if there is a file of it.
func load(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
