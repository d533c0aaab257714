package transaction

// queue keeps the work of one transaction that must be done in order and without a lock: responses to
// send, or calls of its user. Its methods are called with the shard's mu held.
type queue[T any] struct {
	busy    bool
	waiting []T
}

// claim reports whether the caller is to do x now, and then whatever take returns until there is nothing
// left. If it is not, x waits for whoever is busy.
func (q *queue[T]) claim(x T) bool {
	if q.busy {
		q.waiting = append(q.waiting, x)
		return false
	}
	q.busy = true
	return true
}

// take returns the next piece of work for whoever is busy, or ends that.
func (q *queue[T]) take() (x T, ok bool) {
	if len(q.waiting) == 0 {
		q.busy, q.waiting = false, nil
		return x, false
	}
	x = q.waiting[0]
	clear(q.waiting[:1])
	q.waiting = q.waiting[1:]
	return x, true
}
