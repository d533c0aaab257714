package conformance

import (
	_ "embed"
	"strings"
)

// clausesText is the ledger: a line of id, level, side and requirement for each clause.
//
//go:embed clauses.tsv
var clausesText string

// Clause is one thing that a specification asks for, in our own words.
type Clause struct {
	// ID is the number of the specification, its section and a running number: "5923-8.2-4". The
	// clauses of the seed begin with "seed-" and come from no RFC.
	ID string `json:"id"`
	// Level is MUST, MUST NOT, SHOULD or MAY, or RULE for what follows from the text without such a word.
	Level string `json:"level"`
	// Side is the role in TLS of the element that the clause speaks of: client, server or both.
	Side string `json:"side"`
	// Requirement is what is asked for.
	Requirement string `json:"requirement"`
}

// Must reports whether the clause leaves no choice.
func (c Clause) Must() bool { return strings.HasPrefix(c.Level, "MUST") }

// Specification returns where the clause comes from, such as "RFC 5923".
func (c Clause) Specification() string {
	if number, _, _ := strings.Cut(c.ID, "-"); number != "seed" {
		return "RFC " + number
	}
	return "Seed"
}

// Ledger returns every clause that there is, also those that no prober can test, in order.
func Ledger() []Clause {
	var all []Clause
	lines := strings.Split(strings.TrimSpace(clausesText), "\n")
	for _, line := range lines[1:] {
		if f := strings.SplitN(line, "\t", 4); len(f) == 4 {
			all = append(all, Clause{f[0], f[1], f[2], f[3]})
		}
	}
	return all
}

// clause returns the clause with an id.
func clause(id string) Clause {
	for _, c := range Ledger() {
		if c.ID == id {
			return c
		}
	}
	return Clause{ID: id}
}
