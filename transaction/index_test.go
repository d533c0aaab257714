package transaction

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIndex compares the index with a plain map, for tags that often meet.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tags := range []uint32{3, 200, 1 << 31} {
		var x index
		model := make(map[uint32]uint32) // ref -> tag
		var refs []uint32
		found := func(tag uint32) (got []uint32) {
			for at := tag; ; {
				ref := x.find(tag, &at)
				if ref == 0 {
					slices.Sort(got)
					return got
				}
				got = append(got, ref)
			}
		}
		check := func(tag uint32) {
			t.Helper()
			var want []uint32
			for ref, have := range model {
				if have == tag {
					want = append(want, ref)
				}
			}
			slices.Sort(want)
			if got := found(tag); !slices.Equal(got, want) {
				t.Fatalf("%d tags: %v with tag %d, want %v", tags, got, tag, want)
			}
		}
		next := uint32(1)
		for round := range 4000 {
			grow := round < 2000
			switch op := r.IntN(10); {
			case len(refs) == 0 || (op < 6) == grow:
				tag := r.Uint32N(tags)
				x.insert(tag, next)
				model[next], refs = tag, append(refs, next)
				next++
				check(tag)
			case op == 9:
				i := r.IntN(len(refs))
				tag := model[refs[i]]
				x.replace(tag, refs[i], next)
				delete(model, refs[i])
				model[next], refs[i] = tag, next
				next++
				check(tag)
			default:
				i := r.IntN(len(refs))
				tag := model[refs[i]]
				x.remove(tag, refs[i])
				delete(model, refs[i])
				refs = slices.Delete(refs, i, i+1)
				check(tag)
			}
			if x.used != len(model) {
				t.Fatalf("%d used, want %d", x.used, len(model))
			}
		}
		for ref, tag := range model {
			x.remove(tag, ref)
		}
		if len(x.slots) > 16*minIndex {
			t.Errorf("%d slots are kept for nothing", len(x.slots))
		}
	}
}
