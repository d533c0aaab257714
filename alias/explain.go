package alias

import (
	"cmp"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// Explain answers as Find does, tells of each row of the address what spoke for or against it, and
// changes nothing.
func (t *Table) Explain(to sipaddr.Resolved, reference string, now time.Time) Decision {
	e, reason := t.search(to, reference, now)
	d := Decision{Reason: reason}
	if e != nil {
		d.Conn = e.row.Conn
	}
	for other := t.byAddr[placeOf(to)]; other != nil; other = other.next {
		d.Considered = append(d.Considered, Verdict{Row: other.row, Reason: other.judge(reference, now.UnixNano())})
	}
	return d
}

// Rows returns a copy of all rows, those of one address together and the newest of them first.
func (t *Table) Rows() []Row {
	all := make([]*entry, 0, t.rows)
	for _, e := range t.byAddr {
		for ; e != nil; e = e.next {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		if c := a.row.Resolved.Compare(b.row.Resolved); c != 0 {
			return c
		}
		return cmp.Compare(b.seq, a.seq)
	})
	rows := make([]Row, len(all))
	for i, e := range all {
		rows[i] = e.row
	}
	return rows
}

// RowsAt returns a copy of the rows of one address, in the order of choice.
func (t *Table) RowsAt(to sipaddr.Resolved) []Row {
	var rows []Row
	for e := t.byAddr[placeOf(to)]; e != nil; e = e.next {
		rows = append(rows, e.row)
	}
	return rows
}

// RowsOf returns a copy of the rows of one connection, in the order in which they were added.
func (t *Table) RowsOf(id ConnID) []Row {
	c := t.byConn[id]
	if c == nil {
		return nil
	}
	rows := make([]Row, len(c.entries))
	for i, e := range c.entries {
		rows[i] = e.row
	}
	return rows
}
