package transaction

// The non-INVITE client transaction: RFC 3261, Section 17.1.2 and Figure 6.

func (m *machine) clientNonInvite(t *Timers, ev event, now instant) actions {
	switch ev.kind {
	case evStart: // RFC 3261, Section 17.1.2.2
		m.state, m.until = Trying, now+t.F
		if !m.reliable {
			m.interval, m.again = t.T1, now+t.T1
		}
		return sendRequest
	case evMessage:
		if m.state == Completed { // absorbed
			return 0
		}
		if ev.status < 200 {
			m.state = Proceeding
			return passResponse
		}
		return passResponse | release | m.enter(Completed, m.unlessReliable(t.K), now)
	case evFailed, evClosed: // RFC 3261, Section 17.1.4
		if m.state != Completed {
			return tellFailed | m.terminate()
		}
	case evTick:
		switch {
		case m.until != 0 && now >= m.until: // timers F and K
			if m.state == Completed {
				return m.terminate()
			}
			return tellTimeout | m.terminate()
		case m.again != 0 && now >= m.again: // Timer E
			m.interval = min(2*m.interval, t.T2)
			if m.state == Proceeding {
				m.interval = t.T2
			}
			m.again = now + m.interval
			return sendRequest
		}
	}
	return 0
}
