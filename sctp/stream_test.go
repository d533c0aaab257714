package sctp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// tlsConfigs are for mutual TLS between two domains.
func tlsConfigs(t testing.TB) (client, server *tls.Config) {
	t.Helper()
	com, net := selfSigned(t, "example.com"), selfSigned(t, "example.net")
	trusting := func(c tls.Certificate) *x509.CertPool {
		pool := x509.NewCertPool()
		pool.AddCert(c.Leaf)
		return pool
	}
	return &tls.Config{Certificates: []tls.Certificate{com}, RootCAs: trusting(net), ServerName: "example.net",
			ClientSessionCache: tls.NewLRUClientSessionCache(1)},
		&tls.Config{Certificates: []tls.Certificate{net}, ClientCAs: trusting(com), ClientAuth: tls.RequireAndVerifyClientCert}
}

// selfSigned makes a certificate for a name. The test bench, which has better ones, stands on this room.
func selfSigned(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TestTLS speaks mutual TLS on several streams of one association at once, with a full handshake on the first
// and resumed ones on the others (RFC 3436, Section 8), and shuts down with a closure alert.
func TestTLS(t *testing.T) {
	for _, version := range []struct {
		name   string
		number uint16
	}{{"1.2", tls.VersionTLS12}, {"1.3", tls.VersionTLS13}} {
		t.Run(version.name, func(t *testing.T) {
			e := join(t, quick())
			speakTLS(t, e.client, e.server, version.number)
		})
	}
}

// speakTLS does that for one version of TLS.
func speakTLS(t *testing.T, client, server Association, version uint16) {
	clientConfig, serverConfig := tlsConfigs(t)
	clientConfig.MinVersion, clientConfig.MaxVersion = version, version
	served := make(chan error, 10)
	// Ends with the association.
	go func() {
		for {
			s, err := server.AcceptStream(context.Background())
			if err != nil {
				served <- err
				return
			}
			// Ends with the stream.
			go func() {
				c := tls.Server(s, serverConfig)
				_, err := io.Copy(c, c)
				served <- err
			}()
		}
	}()
	for id := range uint16(4) {
		s, err := client.OpenStream(id)
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(s, clientConfig)
		_ = c.SetDeadline(time.Now().Add(patience))
		want := strings.Repeat("INVITE ", 10000)
		// Ends when it is written.
		go func() { _, _ = io.WriteString(c, want) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("stream %d: %v", id, err)
		}
		if resumed := c.ConnectionState().DidResume; resumed != (id > 0) {
			t.Errorf("stream %d: resumed is %v", id, resumed)
		}
		if s.ID() != id {
			t.Errorf("stream %d says that it is %d", id, s.ID())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := next(t, served); err != nil {
			t.Errorf("stream %d: the server read %v", id, err)
		}
	}
	if err := client.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	if err := next(t, served); !errors.Is(err, io.EOF) {
		t.Errorf("the server accepts streams: %v", err)
	}
}

// TestRecords holds that each TLS record is a message of its own, also when several are written at once.
func TestRecords(t *testing.T) {
	e := join(t, quick())
	got, _ := collect(e.server)
	s, err := e.client.OpenStream(3)
	if err != nil {
		t.Fatal(err)
	}
	record := func(length int) string {
		return string([]byte{22, 3, 3, byte(length >> 8), byte(length)}) + strings.Repeat("x", length)
	}
	records := []string{record(0), record(1), record(16384 + 256), record(700), "\x17\x03\x03\x01\x00begun"}
	all := strings.Join(records, "")
	if n, err := s.Write([]byte(all)); n != len(all) || err != nil {
		t.Fatal(n, err)
	}
	for i, want := range records {
		if m := next(t, got); m.text != want || m.stream != 3 {
			t.Errorf("record %d came as %d bytes on stream %d", i, len(m.text), m.stream)
		}
	}
}

// TestStreamDeadlines holds that deadlines end reading and writing, can be moved, and do not end the stream.
func TestStreamDeadlines(t *testing.T) {
	e := join(t, quick())
	waitOnStream(t, e.client, e.server)
}

// waitOnStream does that for one association.
func waitOnStream(t *testing.T, client, server Association) {
	t.Helper()
	s, err := client.OpenStream(0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	for _, wait := range []time.Duration{-time.Second, 30 * time.Millisecond} {
		_ = s.SetReadDeadline(time.Now().Add(wait))
		_, err := s.Read(b)
		if ne := net.Error(nil); err != os.ErrDeadlineExceeded || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("reading: %v", err)
		}
	}
	_ = s.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	_ = s.SetReadDeadline(time.Time{})
	read := make(chan error, 1)
	// Ends with the read.
	go func() {
		_, err := s.Read(b)
		read <- err
	}()
	peer, err := server.OpenStream(0)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-read:
		t.Fatalf("reading ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := peer.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := next(t, read); err != nil {
		t.Errorf("reading: %v", err)
	}
	record := append([]byte{23, 3, 3, 0x40, 0}, make([]byte, 16<<10)...)
	_ = s.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for i := 0; ; i++ {
		if _, err = s.Write(record); err != nil {
			break
		}
		if i > 1000 {
			t.Fatal("nothing held the writer back")
		}
	}
	if err != os.ErrDeadlineExceeded {
		t.Errorf("writing: %v", err)
	}
	_ = s.SetDeadline(time.Time{})
	if err := client.Err(); err != nil {
		t.Error(err)
	}
}

// TestStreamClose holds that closing a stream ends the read that waits and leaves the rest of the association
// as it is, also when the peer goes on sending on that stream.
func TestStreamClose(t *testing.T) {
	e := join(t, quick())
	closeStream(t, e.client, e.server)
}

// closeStream does that for one association.
func closeStream(t *testing.T, client, server Association) {
	t.Helper()
	s, err := client.OpenStream(0)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	// Ends with the read.
	go func() {
		_, err := s.Read(make([]byte, 10))
		read <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := next(t, read); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	other, err := client.OpenStream(1)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	// Ends with the read.
	go func() {
		b := make([]byte, 10)
		n, _ := other.Read(b)
		got <- string(b[:n])
	}()
	for range 100 { // more than the receive buffer holds
		if err := server.Send(within(t), make([]byte, 8<<10), 0, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Send(within(t), []byte("hello"), 1, false); err != nil {
		t.Fatal(err)
	}
	if text := next(t, got); text != "hello" {
		t.Errorf("the other stream: %q", text)
	}
}
