package resolve_test

// Attack A87 and fault F25: what DNS answers, or does not, costs bounded time, memory and questions.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestManySRV has a thousand SRV records in an answer that only TCP carries.
func TestManySRV(t *testing.T) {
	var zone strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&zone, "_sip._udp.big.example. SRV %d %d 5060 h%d.example.\nh%d.example. A 127.1.%d.%d\n", 10-i%10, i, i, i, i/250, 1+i%250)
	}
	d := siptest.NewDNS(t, zone.String())
	r := newResolver(t, resolve.Config{IPv4: true}, d)
	a, err := r.Resolve(t.Context(), uri(t, "sip:big.example;transport=udp"))
	if err != nil || len(a.Addresses) != 16 {
		t.Fatalf("%d addresses, %v", len(a.Addresses), err)
	}
	if d.Total() > 20 {
		t.Errorf("%d questions", d.Total())
	}
	if d.QueriesTCP("_sip._udp.big.example", "SRV") != 1 || r.Stats().Truncated != 1 {
		t.Error("the answer was not fetched over TCP")
	}
	for i := range 1000 {
		if q := d.Queries(fmt.Sprintf("h%d.example", i), "A"); q > 0 && i%10 != 9 {
			t.Errorf("h%d has a lower priority and was looked up", i)
		}
	}
}

// TestManyAddresses has a host with more addresses than anybody should try.
func TestManyAddresses(t *testing.T) {
	var zone strings.Builder
	for i := range 200 {
		fmt.Fprintf(&zone, "big.example. A 127.1.0.%d\n", 1+i)
	}
	d := siptest.NewDNS(t, zone.String())
	r := newResolver(t, resolve.Config{IPv4: true, MaxTargets: 5}, d)
	if a, err := r.Resolve(t.Context(), uri(t, "sip:big.example:5060")); err != nil || len(a.Addresses) != 5 {
		t.Errorf("%d addresses, %v", len(a.Addresses), err)
	}
}

// TestManyAliases follows a chain that is too long, although each answer alone is well.
func TestManyAliases(t *testing.T) {
	var zone strings.Builder
	for i := range 40 {
		fmt.Fprintf(&zone, "c%d.example. CNAME c%d.example.\n", i, i+1)
	}
	zone.WriteString("c40.example. A 127.0.1.1\nd.example. CNAME c36.example.\n")
	d := siptest.NewDNS(t, zone.String())
	r := newResolver(t, resolve.Config{IPv4: true}, d)
	if a, err := r.Resolve(t.Context(), uri(t, "sip:c0.example:5060")); !errors.Is(err, resolve.ErrNotFound) {
		t.Errorf("got %q, %v", list(a), err)
	}
	if d.Total() > 10 {
		t.Errorf("%d questions", d.Total())
	}
	if a, err := r.Resolve(t.Context(), uri(t, "sip:d.example:5060")); err != nil {
		t.Errorf("a short chain: %q, %v", list(a), err)
	}
}

// TestTruncated holds that TCP is asked, and what happens when it is not there.
func TestTruncated(t *testing.T) {
	d := siptest.NewDNS(t, "a.example. A 127.0.1.1")
	d.SetFaults(siptest.Fault{Truncate: true})
	r := newResolver(t, resolve.Config{IPv4: true}, d)
	if a, err := r.Resolve(t.Context(), uri(t, "sip:a.example:5060")); err != nil || len(a.Addresses) != 1 {
		t.Errorf("got %q, %v", list(a), err)
	}
	d.SetFaults(siptest.Fault{TCP: true, Drop: true}, siptest.Fault{Truncate: true})
	r = newResolver(t, resolve.Config{IPv4: true, Timeout: 50 * time.Millisecond}, d)
	if _, err := r.Resolve(t.Context(), uri(t, "sip:a.example:5060")); !errors.Is(err, resolve.ErrTemporary) {
		t.Errorf("got %v", err)
	}
}

// TestStrays holds that an answer to another question, or with another identifier, is none.
func TestStrays(t *testing.T) {
	d := siptest.NewDNS(t, "a.example. A 127.0.1.1")
	d.SetFaults(siptest.Fault{Other: true})
	r := newResolver(t, resolve.Config{IPv4: true}, d)
	if a, err := r.Resolve(t.Context(), uri(t, "sip:a.example:5060")); err != nil || len(a.Addresses) != 1 {
		t.Errorf("got %q, %v", list(a), err)
	}
}

// TestOldServers holds that servers that know no EDNS or no NAPTR records are understood.
func TestOldServers(t *testing.T) {
	d := siptest.NewDNS(t, "_sip._udp.a.example. SRV 0 0 5062 a.example.\na.example. A 127.0.1.1")
	d.SetFaults(siptest.Fault{Type: "NAPTR", Rcode: siptest.NotImplemented})
	r := newResolver(t, resolve.Config{IPv4: true}, d)
	if a, err := r.Resolve(t.Context(), uri(t, "sip:a.example")); err != nil || list(a) != "udp:127.0.1.1:5062" {
		t.Errorf("got %q, %v", list(a), err)
	}
	d.SetFaults(siptest.Fault{Rcode: siptest.FormatError})
	if _, err := r.Resolve(t.Context(), uri(t, "sip:b.example:5060")); !errors.Is(err, resolve.ErrTemporary) || d.Queries("b.example", "A") != 4 {
		t.Errorf("got %v after %d questions, want each attempt without EDNS too", err, d.Queries("b.example", "A"))
	}
}

// TestNoDowngrade holds that a failure is not taken for an absence: it does not lead to a transport that is
// worth less.
func TestNoDowngrade(t *testing.T) {
	const zone = "a.example. NAPTR 1 1 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.a.example.\na.example. NAPTR 2 1 \"s\" \"SIP+D2U\" \"\" _sip._udp.a.example.\n" +
		"_sip._udp.a.example. SRV 0 0 5060 b.example.\n_sips._tcp.a.example. SRV 0 0 5061 b.example.\n" +
		"_sip._udp.c.example. SRV 0 0 5060 b.example.\nb.example. A 127.0.1.1"
	tests := []struct {
		name, uri string
		fault     siptest.Fault
	}{
		{"NAPTR fails", "sip:a.example", siptest.Fault{Type: "NAPTR", Rcode: siptest.ServerFailure}},
		{"SRV fails", "sip:a.example", siptest.Fault{Name: "_sips._tcp.a.example", Rcode: siptest.ServerFailure}},
		{"SRV fails without NAPTR", "sip:c.example", siptest.Fault{Name: "_sips._tcp.c.example", Rcode: siptest.ServerFailure}},
		{"the host's address fails", "sip:a.example", siptest.Fault{Name: "b.example", Rcode: siptest.Refused}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := siptest.NewDNS(t, zone)
			d.SetFaults(test.fault)
			r := newResolver(t, resolve.Config{IPv4: true}, d)
			if a, err := r.Resolve(t.Context(), uri(t, test.uri)); !errors.Is(err, resolve.ErrTemporary) {
				t.Errorf("got %q, %v", list(a), err)
			}
		})
	}
}

// TestPartial holds that what can be had is used when the rest fails.
func TestPartial(t *testing.T) {
	d := siptest.NewDNS(t, "_sip._udp.a.example. SRV 1 0 5060 x.example.\n_sip._udp.a.example. SRV 2 0 5060 y.example.\nx.example. A 127.0.1.1\ny.example. A 127.0.1.2\ny.example. AAAA ::1")
	d.SetFaults(siptest.Fault{Name: "x.example", Rcode: siptest.ServerFailure}, siptest.Fault{Name: "y.example", Type: "AAAA", Rcode: siptest.ServerFailure})
	r := newResolver(t, resolve.Config{}, d)
	a, err := r.Resolve(t.Context(), uri(t, "sip:a.example;transport=udp"))
	if err != nil || list(a) != "udp:127.0.1.2:5060" || time.Until(a.Expires) > time.Second {
		t.Errorf("got %q, %v, for %v", list(a), err, time.Until(a.Expires))
	}
}

// TestServers holds that another server is asked when one does not answer, and the dead one last from then on.
func TestServers(t *testing.T) {
	tests := []struct {
		name  string
		fault siptest.Fault
		last  bool // a dead server is passed over; one that only fails is not
	}{
		{"silent", siptest.Fault{Drop: true}, true},
		{"failing", siptest.Fault{Rcode: siptest.ServerFailure}, false},
		{"refusing", siptest.Fault{Rcode: siptest.Refused}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bad := siptest.NewDNS(t, "")
			bad.SetFaults(test.fault)
			good := siptest.NewDNS(t, "a.example. A 127.0.1.1\nb.example. A 127.0.1.1\nc.example. A 127.0.1.1\nd.example. A 127.0.1.1")
			r := newResolver(t, resolve.Config{IPv4: true, Timeout: 250 * time.Millisecond}, bad, good)
			for _, name := range []string{"a", "b", "c", "d"} {
				if _, err := r.Resolve(t.Context(), uri(t, "sip:"+name+".example:5060")); err != nil {
					t.Error(err)
				}
			}
			want := 4
			if test.last {
				want = 2
			}
			if bad.Total() != want || good.Total() != 4 {
				t.Errorf("%d questions to the bad server, %d to the good one", bad.Total(), good.Total())
			}
		})
	}
}

// TestDeadPort holds that a server that is not there at all fails at once.
func TestDeadPort(t *testing.T) {
	r := newResolver(t, resolve.Config{Servers: nil, Timeout: 3 * time.Second, HostsFile: writeHosts(t, "")}, deadDNS(t))
	began := time.Now()
	if _, err := r.Resolve(t.Context(), uri(t, "sip:a.example:5060")); !errors.Is(err, resolve.ErrTemporary) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// deadDNS gives a server whose test is over.
func deadDNS(t *testing.T) (d *siptest.DNS) {
	t.Run("a server comes and goes", func(t *testing.T) { d = siptest.NewDNS(t, "") })
	return d
}

// TestStorm asks for many names that do not exist, at a server that is slow or silent: goroutines and
// sockets stay bounded, what does not fit is refused, and other names stay known.
func TestStorm(t *testing.T) {
	d := siptest.NewDNS(t, "good.example. A 127.0.1.1")
	r := newResolver(t, resolve.Config{IPv4: true, Timeout: 200 * time.Millisecond, Attempts: 1, LookupTimeout: 2 * time.Second,
		MaxLookups: 20, MaxQueries: 4, MaxEntries: 64, Transports: []sipaddr.Transport{sipaddr.UDP}}, d)
	good := uri(t, "sip:good.example:5060")
	if _, err := r.Resolve(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	storm := func(letter string, n int) (errs []error) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for i := range n {
			wg.Add(1)
			// Ends with its look-up.
			go func() {
				defer wg.Done()
				_, err := r.Resolve(t.Context(), uri(t, fmt.Sprintf("sip:%s%d.example:5060", letter, i)))
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}()
		}
		wg.Wait()
		return errs
	}
	for wave := range 20 { // few enough at once that none is refused
		for _, err := range storm(fmt.Sprintf("n%d-", wave), 15) {
			if !errors.Is(err, resolve.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
	}
	d.SetFaults(siptest.Fault{Drop: true})
	began := time.Now()
	for _, err := range storm("d", 500) {
		if !errors.Is(err, resolve.ErrTemporary) {
			t.Errorf("got %v", err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if _, ok := r.Cached(good); !ok {
		t.Error("the storm pushed out an address")
	}
	s := r.Stats()
	if s.Refused == 0 || s.Evicted == 0 || s.Entries > 2*(64+16) {
		t.Errorf("%+v", s)
	}
	r.Close()
	if after := runtime.NumGoroutine(); after > before+10 { // the server's own come and go
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// TestGarbage has a server that answers with what is no DNS.
func TestGarbage(t *testing.T) {
	addr := siptest.Loopback(t)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: addr.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	// Ends when the socket is closed, below.
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for size := range n {
				_, _ = socket.WriteToUDPAddrPort(slices.Repeat([]byte{0xc0}, size), from)
			}
		}
	}()
	defer func() { _ = socket.Close(); <-done }()
	r := newResolver(t, resolve.Config{Timeout: 100 * time.Millisecond, Attempts: 1, IPv4: true,
		Servers: []netip.AddrPort{socket.LocalAddr().(*net.UDPAddr).AddrPort()}})
	if _, err := r.Resolve(t.Context(), uri(t, "sip:a.example:5060")); !errors.Is(err, resolve.ErrTemporary) {
		t.Errorf("got %v", err)
	}
}
