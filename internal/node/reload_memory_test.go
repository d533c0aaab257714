package node_test

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/siptest"
)

// reloadsEnv is how often TestReloadMemory reloads.
const reloadsEnv = "TANDEM_RELOADS"

// TestReloadMemory reads the configuration again and again, each time with another certificate or list of revoked
// ones, while a connection stands and carries a request now and then. Memory, goroutines and descriptors stay what
// they were. Outside of the usual run it is to be 10,000 times.
func TestReloadMemory(t *testing.T) {
	times := 300
	if text := os.Getenv(reloadsEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", reloadsEnv, err)
		}
		times = n
	}
	ca := siptest.NewCA(t)
	lists := [2]string{siptest.WriteCRL(t, ca.CRL(t)), siptest.WriteCRL(t, ca.CRL(t))}
	s := newStand(t, plan{ca: ca, trust: ", crl: [" + lists[0] + "]"})
	conn := s.offered("p2.example.net")
	file := s.p.Config().File
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := certificateOf(string(text), "example.com")
	var yaml [2]string
	yaml[0] = string(text)
	cert, key := ca.Domain(t, "example.com", "p1.example.com").WriteFiles(t)
	for from, to := range map[string]string{certFile: cert, keyFile: key, lists[0]: lists[1]} {
		text = []byte(replaced(from, to)(string(text)))
	}
	yaml[1] = string(text)
	// The address of a second name server makes another resolver each time.
	yaml[1] = replaced(s.dns.Addr().String(), s.dns.Addr().String()+", "+s.dns.Addr().String())(yaml[1])

	many := func(n int) {
		for i := range n {
			s.reloads(func(string) string { return yaml[i%2] })
		}
	}
	used := func() (heap uint64, goroutines, descriptors int) {
		s.over(conn, "sip:bob@example.net", s.far)
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine(), openDescriptors()
	}
	many(100) // pools and maps grow to their size
	heap, goroutines, descriptors := used()
	begun := time.Now()
	many(times)
	took := time.Since(begun)
	heapAfter, goroutinesAfter, descriptorsAfter := used()
	t.Logf("%d reloads, %v each: heap %d, then %d bytes (%+d); %d, then %d goroutines; %d, then %d descriptors",
		times, took/time.Duration(times), heap, heapAfter, int64(heapAfter)-int64(heap), goroutines, goroutinesAfter, descriptors, descriptorsAfter)
	if int64(heapAfter)-int64(heap) >= 1<<20 {
		t.Errorf("the heap grows from %d to %d bytes", heap, heapAfter)
	}
	if goroutinesAfter > goroutines || descriptorsAfter > descriptors {
		t.Errorf("goroutines or descriptors grow")
	}
	if n := s.p.Handshakes(); n != 1 {
		t.Errorf("%d handshakes", n)
	}
}

// openDescriptors counts the descriptors of this process, where the system tells.
func openDescriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
