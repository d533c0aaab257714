package resolve

import (
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	hostsPause = 2 * time.Second // between two looks at whether the file changed
	maxHosts   = 4 << 20         // bytes of the file that are read
)

// hosts is the hosts file. It is looked at again at most once in hostsPause, by whoever comes along.
type hosts struct {
	path       string
	next       atomic.Int64  // when to look again, in nanoseconds since 1970
	generation atomic.Uint64 // grows with each change
	table      atomic.Pointer[map[string][]netip.Addr]

	mu   sync.Mutex  // guards the field below
	seen os.FileInfo // of the file that was read last; nil: there was none
}

// check looks whether the file changed, if it is time to, and reads it then. The first call always does.
func (h *hosts) check(now time.Time) {
	next := h.next.Load()
	if now.UnixNano() < next || !h.next.CompareAndSwap(next, now.Add(hostsPause).UnixNano()) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	info, err := os.Stat(h.path)
	if err != nil {
		info = nil // a file that is gone names nobody
	}
	if h.table.Load() != nil && sameFile(h.seen, info) {
		return
	}
	table := make(map[string][]netip.Addr)
	if info != nil {
		text, err := readFile(h.path)
		if err != nil && h.table.Load() != nil {
			return // what we have is better than half of it; the next look tries again
		}
		table = parseHosts(text)
	}
	h.seen = info
	h.table.Store(&table)
	h.generation.Add(1)
}

// sameFile tells whether a file is the one that was read.
func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// readFile reads no more than maxHosts bytes.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHosts))
	return string(text), err
}

// find gives the addresses of a name that can be used, in the order of the file. The name localhost and
// those below it are on this machine even if the file does not say so (RFC 6761, Section 6.3).
func (h *hosts) find(name string, cfg Config) []netip.Addr {
	var all []netip.Addr
	if table := h.table.Load(); table != nil {
		all = (*table)[name]
	}
	if len(all) == 0 && isLocalhost(name) {
		all = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	usable := func(a netip.Addr) bool { return a.Is4() && cfg.IPv4 || a.Is6() && cfg.IPv6 }
	if !slices.ContainsFunc(all, func(a netip.Addr) bool { return !usable(a) }) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return !usable(a) })
}

// isLocalhost tells whether a name is one that never goes to DNS.
func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// parseHosts reads the text of a hosts file: on each line an address and its names, and comments behind
// a number sign. Lines and names that make no sense are passed over.
func parseHosts(text string) map[string][]netip.Addr {
	table := make(map[string][]netip.Addr)
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || addr.Zone() != "" { // a zone has no place in a resolved address
			continue
		}
		addr = addr.Unmap()
		for _, name := range fields[1:] {
			name = plainName(name)
			if validName(name) && len(table[name]) < maxRecords && !slices.Contains(table[name], addr) {
				table[strings.Clone(name)] = slices.Concat(table[name], []netip.Addr{addr})
			}
		}
	}
	return table
}
