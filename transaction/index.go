package transaction

// index finds by a part of a digest what may have that digest: a hash table with open addressing that holds
// no pointer. An entry is 8 bytes, so that a look-up mostly touches one cache line of it. The owner locks, and
// compares what it finds.
type index struct {
	slots []indexSlot // none, or a power of two of them
	used  int
}

// indexSlot is one entry. ref is what the owner calls the thing, 0 in a free slot.
type indexSlot struct{ tag, ref uint32 }

const minIndex = 16

// insert adds an entry.
func (x *index) insert(tag, ref uint32) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.resize(max(minIndex, 2*len(x.slots)))
	}
	x.put(indexSlot{tag, ref})
	x.used++
}

// put writes an entry into the first free slot from its own on.
func (x *index) put(e indexSlot) {
	mask := uint32(len(x.slots) - 1)
	at := e.tag & mask
	for x.slots[at].ref != 0 {
		at = (at + 1) & mask
	}
	x.slots[at] = e
}

// resize makes room for size entries, three quarters of which may be used.
func (x *index) resize(size int) {
	old := x.slots
	x.slots = make([]indexSlot, size)
	for _, e := range old {
		if e.ref != 0 {
			x.put(e)
		}
	}
}

// find returns the next entry with the tag, 0 when there is no more. at is where to look, and is moved on; it begins
// as the tag.
func (x *index) find(tag uint32, at *uint32) (ref uint32) {
	if len(x.slots) == 0 {
		return 0
	}
	mask := uint32(len(x.slots) - 1)
	for {
		e := x.slots[*at&mask]
		if e.ref == 0 {
			return 0
		}
		*at++
		if e.tag == tag {
			return e.ref
		}
	}
}

// at returns where an entry is that must be there.
func (x *index) at(tag, ref uint32) uint32 {
	mask := uint32(len(x.slots) - 1)
	at := tag & mask
	for x.slots[at].ref != ref {
		at = (at + 1) & mask
	}
	return at
}

// replace gives an entry that must be there another ref.
func (x *index) replace(tag, ref, by uint32) { x.slots[x.at(tag, ref)].ref = by }

// remove takes an entry out that must be there, and closes the gap.
func (x *index) remove(tag, ref uint32) {
	mask := uint32(len(x.slots) - 1)
	gap := x.at(tag, ref)
	for at := (gap + 1) & mask; x.slots[at].ref != 0; at = (at + 1) & mask {
		// An entry goes into the gap unless its own slot lies behind it.
		if home := x.slots[at].tag & mask; (at-home)&mask >= (at-gap)&mask {
			x.slots[gap], gap = x.slots[at], at
		}
	}
	x.slots[gap] = indexSlot{}
	x.used--
	// What a flood made grow is given back.
	if len(x.slots) > 8*minIndex && 16*x.used < len(x.slots) {
		x.resize(len(x.slots) / 4)
	}
}
