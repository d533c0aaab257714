package transaction

// The non-INVITE server transaction: RFC 3261, Section 17.2.2 and Figure 8, with the rules for
// provisional responses and for 408 of RFC 4320, Section 4.

func (m *machine) serverNonInvite(t *Timers, ev event, now instant) actions {
	switch ev.kind {
	case evStart:
		m.state, m.again, m.until = Trying, now+t.Slow, now+t.Abandon
		return passRequest
	case evMessage:
		if m.state != Trying {
			return resendResponse
		}
	case evRespond:
		return m.serverNonInviteRespond(t, ev.status, now)
	case evFailed:
		// RFC 3261, Figure 8 ends the transaction here; RFC 6026, Section 8.8 has it stay, to absorb
		// retransmissions.
		return tellFailed
	case evTick:
		switch {
		case m.until != 0 && now >= m.until: // timers J and Abandon
			if m.state == Completed {
				return m.terminate()
			}
			return tellTimeout | m.terminate()
		case m.again != 0 && now >= m.again: // timer Slow
			m.state, m.again = Proceeding, 0
			return sendTrying
		}
	}
	return 0
}

func (m *machine) serverNonInviteRespond(t *Timers, status int, now instant) actions {
	switch {
	case m.state == Completed:
		return 0
	case status < 200:
		// Only a 100, and that not too early where it would stop the client's retransmissions
		// (RFC 4320, Section 4.1). The machine sends it by itself when its time has come.
		if status != 100 || !m.reliable && m.state == Trying {
			return 0
		}
		m.state, m.again = Proceeding, 0
		return sendResponse
	case status == 408: // It would come too late and is never sent: RFC 4320, Section 4.2.
		return release | m.enter(Completed, m.unlessReliable(t.J), now)
	}
	return sendResponse | release | m.enter(Completed, m.unlessReliable(t.J), now)
}
