package load

// timers holds the calls' ends in the order in which they have something to do: a binary heap, in which each
// knows its place.
type timers []*leg

// first returns when the earliest is due, or never.
func (t timers) first() instant {
	if len(t) == 0 {
		return never
	}
	return t[0].due
}

// set puts l where it belongs with a new time; never takes it out.
func (t *timers) set(l *leg, due instant) {
	switch {
	case due == never && l.place == 0:
	case due == never:
		t.remove(l)
	case l.place == 0:
		l.due = due
		*t = append(*t, l)
		l.place = len(*t)
		t.up(l.place - 1)
	default:
		l.due = due
		t.down(t.up(l.place - 1))
	}
}

func (t *timers) remove(l *leg) {
	h, i := *t, l.place-1
	last := len(h) - 1
	h.swap(i, last)
	h[last] = nil
	*t = h[:last]
	l.place, l.due = 0, never
	if i < last {
		t.down(t.up(i))
	}
}

func (t timers) swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i+1, j+1
}

// up moves the i-th towards the first and returns where it ended.
func (t timers) up(i int) int {
	for i > 0 && t[i].due < t[(i-1)/2].due {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

func (t timers) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t); child++ {
			if t[child].due < t[least].due {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
