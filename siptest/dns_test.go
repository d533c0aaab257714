package siptest_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/siptest"
)

// stub makes the standard library ask the server, over one network.
func stub(d *siptest.DNS, network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, asked, _ string) (net.Conn, error) {
		if network != "" {
			asked = network
		}
		return new(net.Dialer).DialContext(ctx, asked, d.Addr().String())
	}}
}

// TestDNS asks the server by way of the standard library.
func TestDNS(t *testing.T) {
	d := siptest.NewDNS(t, `
example.net.            60 IN SRV 0 0 5061 p2.example.net.
_sips._tcp.example.net. 60 IN SRV 0 0 5061 p2.example.net.
p2.example.net.         60 IN A 127.0.0.2
www.example.net.        60 IN CNAME p2.example.net.`)
	r := stub(d, "udp")
	_, srv, err := r.LookupSRV(t.Context(), "sips", "tcp", "example.net")
	if err != nil || len(srv) != 1 || srv[0].Port != 5061 {
		t.Errorf("SRV: %v, %v", srv, err)
	}
	addrs, err := r.LookupHost(t.Context(), "www.example.net")
	if err != nil || len(addrs) != 1 || addrs[0] != "127.0.0.2" {
		t.Errorf("CNAME: %v, %v", addrs, err)
	}
	if _, err := r.LookupHost(t.Context(), "nobody.example.net"); err == nil {
		t.Error("a name that is not there was found")
	}
	if d.Queries("_sips._tcp.example.net", "SRV") != 1 || d.Total() < 3 || d.QueriesTCP("_sips._tcp.example.net", "srv") != 0 {
		t.Errorf("%d questions in all", d.Total())
	}
	d.Set(`nobody.example.net. 60 IN A 127.0.0.3`)
	if addrs, err := r.LookupHost(t.Context(), "nobody.example.net"); err != nil || addrs[0] != "127.0.0.3" {
		t.Errorf("changed zone: %v, %v", addrs, err)
	}
}

// TestDNSFaults holds that each fault happens where it should.
func TestDNSFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault siptest.Fault
		fails bool
		tcp   int
	}{
		{"none", siptest.Fault{Name: "other.example"}, false, 0},
		{"other type", siptest.Fault{Type: "SRV", Drop: true}, false, 0},
		{"drop", siptest.Fault{Drop: true}, true, 0},
		{"failure", siptest.Fault{Name: "A.example.", Rcode: siptest.ServerFailure}, true, 0},
		{"truncated", siptest.Fault{Type: "A", Truncate: true}, false, 1},
		{"only over TCP", siptest.Fault{TCP: true, Drop: true}, false, 0},
		{"late", siptest.Fault{Delay: time.Minute}, true, 0},
		{"strays first", siptest.Fault{Other: true}, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := siptest.NewDNS(t, "a.example. 60 IN A 127.0.0.2")
			d.SetFaults(test.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := stub(d, "").LookupNetIP(ctx, "ip4", "a.example.")
			if (err != nil) != test.fails || d.QueriesTCP("a.example", "A") != test.tcp {
				t.Errorf("%v, %d over TCP", err, d.QueriesTCP("a.example", "A"))
			}
		})
	}
}
