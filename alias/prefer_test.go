package alias

import (
	"slices"
	"testing"
)

// TestPrefer: of several rows that would do, one can be put first; what does not fit is not chosen for that.
func TestPrefer(t *testing.T) {
	const to, other = "tls:192.0.2.1:5061", "tls:192.0.2.1:5071"
	table := New("example.com", Config{})
	mustAdd(t, table,
		row(t, 1, to, "example.net"), row(t, 2, to, "example.org"), row(t, 3, to, "example.net"), row(t, 4, to, "example.net"),
		row(t, 1, other, "example.net"), row(t, 4, other, "example.net"))
	want(t, table, to, "example.net", 4, Reuse)
	table.Prefer(1)
	want(t, table, to, "example.net", 1, Reuse)
	want(t, table, other, "example.net", 1, Reuse)
	var order []ConnID
	for _, r := range table.RowsAt(addr(t, to)) {
		order = append(order, r.Conn)
	}
	if !slices.Equal(order, []ConnID{1, 4, 3, 2}) {
		t.Errorf("order %v", order)
	}
	table.Prefer(2)
	table.Prefer(99)
	want(t, table, to, "example.net", 1, Reuse)
	want(t, table, to, "example.org", 2, Reuse)
	mustAdd(t, table, row(t, 5, to, "example.net"))
	want(t, table, to, "example.net", 5, Reuse)
	table.Prefer(1)
	table.MarkClosing(1)
	want(t, table, to, "example.net", 5, Reuse)
	table.Remove(1)
	if n := table.Len(); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}
