package sctp

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// BenchmarkEcho sends messages of the size of a SIP request over mutual TLS and back, over TCP and over SCTP
// in userland, and says how much processor time a message takes, both ends together. With many under way they
// share packets and wake-ups, as they do under load.
func BenchmarkEcho(b *testing.B) {
	for _, carrier := range []struct {
		name string
		pair func(b *testing.B) (client, server net.Conn)
	}{{"TCP", tcpPair}, {"SCTP", streamPair}} {
		for _, ahead := range []struct {
			name     string
			messages int
		}{{"one", 1}, {"many", 32}} {
			b.Run(carrier.name+"/"+ahead.name, func(b *testing.B) {
				client, server := carrier.pair(b)
				echo(b, client, server, ahead.messages)
			})
		}
	}
}

// echo sends b.N messages and reads what comes back, with some of them on the way at a time.
func echo(b *testing.B, client, server net.Conn, ahead int) {
	clientConfig, serverConfig := tlsConfigs(b)
	c, s := tls.Client(client, clientConfig), tls.Server(server, serverConfig)
	// Ends with the connection.
	go func() {
		buf := make([]byte, 900)
		for {
			if _, err := io.ReadFull(s, buf); err != nil {
				return
			}
			if _, err := s.Write(buf); err != nil {
				return
			}
		}
	}()
	if err := c.Handshake(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	credit := make(chan struct{}, ahead)
	before := processorTime(b)
	b.ResetTimer()
	// Ends when all are sent.
	go func() {
		buf := make([]byte, 900)
		for range b.N {
			credit <- struct{}{}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 900)
	for range b.N {
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
		<-credit
	}
	b.StopTimer()
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
	_ = c.Close()
}

// processorTime is what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tcpPair is a connection over TCP.
func tcpPair(b *testing.B) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// streamPair is a stream over SCTP.
func streamPair(b *testing.B) (client, server net.Conn) {
	e := join(b, Config{UDPPort: -1, Addresses: quick().Addresses})
	client, err := e.client.OpenStream(0)
	if err != nil {
		b.Fatal(err)
	}
	if server, err = e.server.OpenStream(0); err != nil {
		b.Fatal(err)
	}
	return client, server
}
