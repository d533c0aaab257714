package resolve

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// to makes a resolved address out of a number.
func to(n byte) sipaddr.Resolved {
	return resolved(netip.AddrFrom4([4]byte{127, 0, 1, n}), 5060, sipaddr.UDP)
}

// TestWeights holds the shares of RFC 2782 over many draws.
func TestWeights(t *testing.T) {
	const draws = 20_000
	tests := []struct {
		name    string
		weights []uint16
		want    []float64 // share of each as the first
	}{
		{"one to three", []uint16{1, 3}, []float64{0.25, 0.75}},
		{"in any order", []uint16{60, 20, 20}, []float64{0.6, 0.2, 0.2}},
		{"all zero", []uint16{0, 0, 0, 0}, []float64{0.25, 0.25, 0.25, 0.25}},
		{"zero has a small chance", []uint16{9, 0}, []float64{0.9, 0.1}},
		{"zero beside much", []uint16{0, 65535}, []float64{0, 1}},
		{"alone", []uint16{7}, []float64{1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			first := make([]int, len(test.weights))
			for range draws {
				var ranks []ranked
				for i, w := range test.weights {
					ranks = append(ranks, ranked{1, w, i})
				}
				weigh(ranks, len(ranks), random)
				first[ranks[0].index]++
				slices.SortFunc(ranks, func(a, b ranked) int { return a.index - b.index })
				for i, x := range ranks {
					if x.index != i || x.weight != test.weights[i] {
						t.Fatalf("not a permutation: %v", ranks)
					}
				}
			}
			for i, want := range test.want {
				if got := float64(first[i]) / draws; got < want-0.015 || got > want+0.015 {
					t.Errorf("weight %d is first in %.3f of the draws, want %.3f", test.weights[i], got, want)
				}
			}
		})
	}
}

// TestOrder holds that priorities are never crossed, hosts never mixed (RFC 7984, Section 4), and that the
// order can be foretold with an injected source.
func TestOrder(t *testing.T) {
	p := &plan{hops: []hop{
		{20, 5, []sipaddr.Resolved{to(5)}},
		{10, 5, []sipaddr.Resolved{to(1), to(2)}},
		{10, 5, []sipaddr.Resolved{to(3), to(4)}},
		{20, 0, []sipaddr.Resolved{to(6), to(1)}},
	}}
	p.settle(16)
	if p.fixed != nil {
		t.Fatal("weights that are never thrown")
	}
	run := func(seed uint64) string {
		r := &Resolver{cfg: Config{MaxTargets: 16}, random: rand.New(rand.NewPCG(seed, 0))}
		var all []string
		for range 50 {
			order := r.order(p)
			var text strings.Builder
			for _, a := range order {
				text.WriteByte('0' + a.Addr().As4()[3])
			}
			s := text.String()
			if h := s[:4]; h != "1234" && h != "3412" || len(s) != 6 || !strings.ContainsAny(s[4:5], "56") {
				t.Fatalf("order %s", s)
			}
			all = append(all, s)
		}
		return strings.Join(all, " ")
	}
	if first, again := run(1), run(1); first != again {
		t.Error("the same source gives two orders")
	}
	if run(1) == run(2) || !strings.Contains(run(1), "3412") || !strings.Contains(run(1), "1234") {
		t.Error("nothing is thrown")
	}
	r := &Resolver{cfg: Config{MaxTargets: 3}}
	if order := r.order(p); len(order) != 3 {
		t.Errorf("%d addresses", len(order))
	}
}

// TestMarks holds the rule by which addresses are set back.
func TestMarks(t *testing.T) {
	type event struct {
		at   time.Duration
		what string // "fail 1", "work 1", or the order that is expected of 1, 2, 3
	}
	tests := []struct {
		name   string
		events []event
	}{
		{"nothing", []event{{0, "123"}}},
		{"one failure moves nothing", []event{{0, "fail 1"}, {time.Millisecond, "123"}}},
		{"many at once are one", []event{{0, "fail 1"}, {0, "fail 1"}, {100 * time.Millisecond, "fail 1"}, {101 * time.Millisecond, "123"}}},
		{"two move", []event{{0, "fail 1"}, {time.Second, "fail 1"}, {time.Second, "231"}}},
		{"success between", []event{{0, "fail 1"}, {time.Second, "work 1"}, {2 * time.Second, "fail 1"}, {2 * time.Second, "123"}}},
		{"long between", []event{{0, "fail 1"}, {2 * time.Minute, "fail 1"}, {2 * time.Minute, "123"}}},
		{"one probe when the time is over", []event{{0, "fail 1"}, {time.Second, "fail 1"}, {2999 * time.Millisecond, "231"},
			{3 * time.Second, "123"}, {3 * time.Second, "231"}, {4 * time.Second, "231"}}},
		{"the probe works", []event{{0, "fail 1"}, {time.Second, "fail 1"}, {3 * time.Second, "123"}, {3100 * time.Millisecond, "work 1"}, {3100 * time.Millisecond, "123"}, {3100 * time.Millisecond, "123"}}},
		{"the probe fails: twice as long", []event{{0, "fail 1"}, {time.Second, "fail 1"}, {3 * time.Second, "123"}, {3100 * time.Millisecond, "fail 1"},
			{7 * time.Second, "231"}, {7100 * time.Millisecond, "123"}}},
		{"the probe says nothing", []event{{0, "fail 1"}, {time.Second, "fail 1"}, {3 * time.Second, "123"}, {4999 * time.Millisecond, "231"}, {5 * time.Second, "123"}}},
		{"only what would be first is probed", []event{{0, "fail 2"}, {time.Second, "fail 2"}, {4 * time.Second, "132"}, {4 * time.Second, "132"}}},
		{"forgotten in the end", []event{{0, "fail 2"}, {time.Second, "fail 2"}, {4 * time.Second, "132"}, {70 * time.Second, "123"}}},
		{"all fail: the order of DNS", []event{{0, "fail 1"}, {0, "fail 2"}, {0, "fail 3"}, {time.Second, "fail 1"}, {time.Second, "fail 2"}, {time.Second, "fail 3"}, {time.Second, "123"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			var ms marks
			addresses := []sipaddr.Resolved{to(1), to(2), to(3)}
			for _, e := range test.events {
				now := began.Add(e.at)
				var n byte
				if _, err := fmt.Sscanf(e.what, "fail %d", &n); err == nil {
					ms.failed(to(n), now)
					continue
				}
				if _, err := fmt.Sscanf(e.what, "work %d", &n); err == nil {
					ms.worked(to(n))
					continue
				}
				got := ""
				for _, a := range ms.arrange(addresses, now) {
					got += string('0' + rune(a.Addr().As4()[3]))
				}
				if got != e.what {
					t.Errorf("after %v: %s, want %s", e.at, got, e.what)
				}
			}
			if alone := ms.arrange(addresses[:1], began.Add(time.Hour)); len(alone) != 1 {
				t.Error("the last address is gone")
			}
		})
	}
}

// TestMarksBounded holds that strangers' failures do not fill memory.
func TestMarksBounded(t *testing.T) {
	var ms marks
	began := time.Now()
	for i := range 3 * maxMarks {
		ms.failed(resolved(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060, sipaddr.UDP), began)
	}
	if len(ms.m) != maxMarks {
		t.Errorf("%d marks", len(ms.m))
	}
	ms.failed(to(1), began.Add(time.Hour))
	if len(ms.m) != 1 || ms.n.Load() != 1 {
		t.Errorf("%d marks an hour later", len(ms.m))
	}
}

// TestMarksExplained holds that Explain shows what is set back.
func TestMarksExplained(t *testing.T) {
	var ms marks
	now := time.Now()
	ms.failed(to(1), now)
	ms.failed(to(1), now.Add(time.Second))
	order, steps := ms.explain([]sipaddr.Resolved{to(1), to(2)}, nil, now.Add(2*time.Second))
	if order[0] != to(2) || order[1] != to(1) || len(steps) != 1 || steps[0].Type != "mark" || steps[0].TTL != time.Second {
		t.Errorf("%v, %+v", order, steps)
	}
}
