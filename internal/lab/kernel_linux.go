package lab

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
)

// kernelConnections counts the established connections between the two proxies as the kernel's table
// of TCP sockets has them. Both ends are on this machine, so each connection stands there twice; it is
// counted at the end that accepted it.
func kernelConnections(p place) (int, error) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, fmt.Errorf("lab: the kernel's table of sockets cannot be read: %w", err)
	}
	return countConnections(table, p), nil
}

// countConnections reads the table: local and remote address, both in hexadecimal, and the state.
func countConnections(table []byte, p place) int {
	const established = "01"
	n := 0
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) < 4 || string(f[3]) != established {
			continue
		}
		local, ok1 := kernelAddress(f[1])
		remote, ok2 := kernelAddress(f[2])
		if !ok1 || !ok2 {
			continue
		}
		for i, s := range p.sides {
			if local == netip.AddrPortFrom(s.proxy, s.tls) && remote.Addr() == p.sides[1-i].proxy {
				n++
			}
		}
	}
	return n
}

// kernelAddress parses 0100007F:13C5. The address is a number in the machine's byte order.
func kernelAddress(field []byte) (netip.AddrPort, bool) {
	host, port, ok := bytes.Cut(field, []byte(":"))
	raw, err := hex.DecodeString(string(host))
	n, perr := strconv.ParseUint(string(port), 16, 16)
	if !ok || err != nil || perr != nil || len(raw) != 4 {
		return netip.AddrPort{}, false
	}
	var addr [4]byte
	binary.NativeEndian.PutUint32(addr[:], binary.BigEndian.Uint32(raw))
	return netip.AddrPortFrom(netip.AddrFrom4(addr), uint16(n)), true
}
