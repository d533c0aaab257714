package node

import (
	"net/netip"
	"testing"
)

// BenchmarkShareOf is what a connection costs once, and a source of datagrams that was not seen of late.
func BenchmarkShareOf(b *testing.B) {
	n := &Node{bySource: newShares[netip.Addr](3), byIdentity: newShares[string](3)}
	ip := netip.MustParseAddr("192.0.2.1")
	held := n.shareOf(ip, "example.net")
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n.shareOf(ip, "example.net")
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ip = ip.Next()
			n.shareOf(ip, "")
		}
	})
	_ = held
}
