package node_test

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestClausesAreComplete holds that each clause of the ledger has a test, and
// that the copy of the ledger's ids is the ledger's, where that is at hand.
func TestClausesAreComplete(t *testing.T) {
	ids := ledger(t, "testdata/clauses.txt")
	for _, id := range ids {
		if clauses[id] == nil {
			t.Errorf("%s has to have a test", id)
		}
	}
	for id := range clauses {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is not in the ledger", id)
		}
	}
	tables, _ := filepath.Glob("../../../shared/clauses/*.tsv")
	var original []string
	for _, table := range tables {
		original = append(original, ledger(t, table)...)
	}
	slices.Sort(original)
	slices.Sort(ids)
	if len(tables) > 0 && !slices.Equal(original, ids) {
		t.Errorf("testdata/clauses.txt is not up to date: the ledger has %v", original)
	}
}
