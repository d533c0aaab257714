//go:build !linux

package transport

import "net"

func (*Transport) alongside(*net.UDPConn, string) []*net.UDPConn { return nil }
