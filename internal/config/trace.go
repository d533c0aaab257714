package config

// Trace says what is kept of the messages that pass, and where copies of them go.
type Trace struct {
	// Memory bounds the recent messages that are kept, in bytes; 0: none are. Without an admin API none are either.
	Memory int
	// ShowCredentials leaves passwords, keys and answers to challenges in what is kept and handed out.
	ShowCredentials bool
}

// readTrace reads what is kept of messages.
func (v value) readTrace(t *Trace) {
	v.fields([]field{
		{"memory", func(v value) { v.readSize(&t.Memory, 0, 1<<30) }},
		{"credentials", func(v value) {
			word := "hide"
			v.readOneOf(&word, "hide", "show")
			t.ShowCredentials = word == "show"
		}},
	})
}
