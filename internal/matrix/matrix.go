package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tandem-sip/tandem/conformance"
)

// command writes the page.
const command = "go test -json -run 'Test(Clauses|Check)(OverSCTP)?$' ./internal/node ./cmd/tandem | go run ./internal/matrix > docs/conformance.md"

// module is cut off the names of packages.
const module = "github.com/tandem-sip/tandem/"

// inside and prober are the tests whose parts are named by the ids of clauses. inside looks at a proxy's tables.
// prober runs the prober: what is in the waivers for it does not count as passed.
const (
	inside     = "internal/node TestClauses"
	insideSCTP = inside + over
	prober     = "cmd/tandem TestCheck"
	proberSCTP = prober + over

	over = "OverSCTP" // the same over another transport
)

// matrix is what is known of each clause.
type matrix struct {
	clauses []conformance.Clause
	ids     map[string]bool
	results map[string]map[string]bool // id -> "room TestName" -> passed
	waived  map[string]string          // id -> why there is no test
	outside map[string]string          // id -> why the prober does not pass
}

func newMatrix(clauses []conformance.Clause) *matrix {
	m := &matrix{clauses: clauses, ids: make(map[string]bool), results: make(map[string]map[string]bool),
		waived: make(map[string]string), outside: make(map[string]string)}
	for _, c := range clauses {
		m.ids[c.ID] = true
		m.results[c.ID] = make(map[string]bool)
	}
	return m
}

// readWaivers reads lines of an id and a reason.
func readWaivers(text string, into map[string]string) {
	for line := range strings.Lines(text) {
		if id, reason, _ := strings.Cut(strings.TrimSpace(line), " "); id != "" && !strings.HasPrefix(id, "#") {
			into[id] = strings.TrimSpace(reason)
		}
	}
}

// event is one line of `go test -json`.
type event struct{ Action, Package, Test string }

// read takes the events of one run. A test that ran in several runs has passed if it passed in all of them.
func (m *matrix) read(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var e event
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("matrix: the events of go test -json: %w", err)
		}
		if e.Action != "pass" && e.Action != "fail" && e.Action != "skip" {
			continue
		}
		name, id, _ := strings.Cut(e.Test, "/")
		name = strings.TrimPrefix(e.Package, module) + " " + name
		if !m.ids[id] || !slices.Contains([]string{inside, insideSCTP, prober, proberSCTP}, name) {
			continue // of no clause, or a part of such a test
		}
		before, ran := m.results[id][name]
		m.results[id][name] = e.Action == "pass" && (before || !ran)
	}
}

// verdict is what came of a clause: passed, failed, waived or "no test".
func (m *matrix) verdict(id string) string {
	verdict := "no test"
	for name, passed := range m.results[id] {
		switch {
		case !passed:
			return "**failed**"
		case !strings.HasPrefix(name, prober) || m.outside[id] == "":
			verdict = "passed"
		}
	}
	if verdict == "no test" && m.waived[id] != "" {
		return "waived"
	}
	return verdict
}

// problems is an error when the page must not stand as it is.
func (m *matrix) problems() error {
	var all []error
	for _, c := range m.clauses {
		switch v := m.verdict(c.ID); {
		case v == "**failed**":
			all = append(all, fmt.Errorf("matrix: %s failed", c.ID))
		case v == "no test" && c.Must():
			all = append(all, fmt.Errorf("matrix: %s is a %s and has no test that passed; write one, or a line with the reason in %s", c.ID, c.Level, ownWaivers))
		case v == "passed" && m.waived[c.ID] != "":
			all = append(all, fmt.Errorf("matrix: %s passes; take its line out of %s", c.ID, ownWaivers))
		}
	}
	for _, list := range []map[string]string{m.waived, m.outside} {
		for id, reason := range list {
			if !m.ids[id] || reason == "" {
				all = append(all, fmt.Errorf("matrix: the waiver for %s is for no clause, or has no reason", id))
			}
		}
	}
	return errors.Join(all...)
}

// page is the whole of docs/conformance.md.
func (m *matrix) page() []byte {
	var b bytes.Buffer
	b.WriteString("# Conformance\n\nWhat RFC 5923 and RFC 5922 ask for, in our own words, and which tests hold it. This page is made from the\n" +
		"results of tests and is not to be edited; to make it anew:\n\n<!-- not run: CI compares the page with what its own tests say -->\n```sh\n" + command + "\n```\n\n" +
		"Tests of `internal/node` look from inside, at the tables of a whole proxy over real sockets. `cmd/tandem TestCheck`\n" +
		"is the prober of `tandem check` against a running `tandem serve`, which sees the wire only. Those with `OverSCTP` are\n" +
		"the same over TLS over SCTP, and SCTP where the others speak TCP. A RULE follows from the\n" +
		"text of the RFC without such a word; a Seed comes from what this project was asked to do.\n\n")
	m.summary(&b)
	for i, c := range m.clauses {
		if i == 0 || c.Specification() != m.clauses[i-1].Specification() {
			fmt.Fprintf(&b, "\n## %s\n\n| clause | level | side | requirement | tests | result |\n|---|---|---|---|---|---|\n", c.Specification())
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", c.ID, c.Level, c.Side, strings.ReplaceAll(c.Requirement, "|", `\|`), m.tests(c.ID), m.verdict(c.ID))
	}
	return b.Bytes()
}

// tests lists the tests of a clause, and why one is missing.
func (m *matrix) tests(id string) string {
	var all []string
	for name := range m.results[id] {
		if strings.HasPrefix(name, prober) && m.outside[id] != "" {
			continue
		}
		all = append(all, "`"+name+"`")
	}
	slices.Sort(all)
	if why := m.outside[id]; why != "" {
		all = append(all, "not by the prober: "+why)
	}
	if why := m.waived[id]; why != "" {
		all = append(all, why)
	}
	return strings.Join(all, "<br>")
}

// summary counts clauses by where they come from and by level.
func (m *matrix) summary(b *bytes.Buffer) {
	type key struct{ specification, level string }
	counts := make(map[key]map[string]int)
	var order []key
	for _, c := range m.clauses {
		k := key{c.Specification(), c.Level}
		if counts[k] == nil {
			counts[k] = make(map[string]int)
			order = append(order, k)
		}
		counts[k]["all"]++
		counts[k][m.verdict(c.ID)]++
	}
	b.WriteString("| | level | clauses | passed | failed | waived | no test |\n|---|---|---|---|---|---|---|\n")
	for _, k := range order {
		n := counts[k]
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d |\n", k.specification, k.level, n["all"], n["passed"], n["**failed**"], n["waived"], n["no test"])
	}
}
