package transaction

import "time"

// Timers are the durations that the state machines use: RFC 3261, Table 4 and RFC 6026, Section 8.11.
// Timers A, E and G begin with T1. A zero or negative field means the RFC's default, which for most is
// derived from T1, T2 and T4 as they are set here.
type Timers struct {
	T1 time.Duration // estimate of the round trip; default 500 ms
	T2 time.Duration // longest interval between retransmissions, but for INVITE; default 4 s
	T4 time.Duration // how long a message stays in the network; default 5 s

	B time.Duration // INVITE client: wait for any response; default 64*T1
	D time.Duration // INVITE client: absorb final responses, unreliable only; default 32 s, or 64*T1 if that is longer
	F time.Duration // other client: wait for a final response; default 64*T1
	H time.Duration // INVITE server: wait for the ACK; default 64*T1
	I time.Duration // INVITE server: absorb ACKs, unreliable only; default T4
	J time.Duration // other server: absorb requests, unreliable only; default 64*T1
	K time.Duration // other client: absorb responses, unreliable only; default T4
	L time.Duration // INVITE server: absorb INVITEs after a 2xx; default 64*T1
	M time.Duration // INVITE client: wait for further 2xx; default 64*T1

	// Cancel is how long a canceled INVITE client transaction waits for its final response
	// (RFC 3261, Section 9.1). Default 64*T1.
	Cancel time.Duration
	// Trying is when a 100 is sent for an INVITE that the user has given no response yet, to keep the client from
	// sending it again. A user whose own response comes sooner spares both sides the 100. It is sent up to a
	// quarter earlier, together with others. Default 150 ms, at most the 200 ms of RFC 3261, Section 17.2.1.
	Trying time.Duration
	// Slow is when a 100 is sent for a request other than INVITE that has no response yet
	// (RFC 4320, Section 4.1). Default: the time until the client's Timer E is reset to T2, which is 3.5 s.
	Slow time.Duration
	// Abandon ends a server transaction other than INVITE that the user never answers; its client gave
	// up at 64*T1, and no retransmission can come after T4 more. Default 64*T1 + T4.
	Abandon time.Duration
}

// withDefaults returns t with every field set.
func (t Timers) withDefaults() Timers {
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&t.T1, 500*time.Millisecond) // RFC 3261, Section 17.1.1.1
	set(&t.T2, 4*time.Second)        // RFC 3261, Section 17.1.2.2
	set(&t.T4, 5*time.Second)        // RFC 3261, Section 17.1.2.2
	long := 64 * t.T1
	set(&t.B, long)
	set(&t.D, max(long, 32*time.Second))
	set(&t.F, long)
	set(&t.H, long)
	set(&t.I, t.T4)
	set(&t.J, long)
	set(&t.K, t.T4)
	set(&t.L, long)
	set(&t.M, long)
	set(&t.Cancel, long)
	set(&t.Trying, 150*time.Millisecond)
	t.Trying = min(t.Trying, 200*time.Millisecond)
	slow := time.Duration(0)
	for e := t.T1; e < t.T2; e *= 2 {
		slow += e
	}
	set(&t.Slow, max(slow, t.T1))
	set(&t.Abandon, long+t.T4)
	return t
}
