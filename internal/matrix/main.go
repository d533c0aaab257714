// Command matrix writes docs/conformance.md: for each clause of the ledger which tests hold it and what came of
// them. It reads the events of `go test -json`, so that the page can only say what was run.
//
//	go test -json -run 'Test(Clauses|Check)(OverSCTP)?$' ./internal/node ./cmd/tandem | go run ./internal/matrix > docs/conformance.md
//
// With -check FILE it writes nothing and compares. Either way the exit code is 1 when a test of a clause failed,
// when a clause that leaves no choice has neither a passing test nor a waiver, when a waiver is not needed any
// more, and when the file is not up to date.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/tandem-sip/tandem/conformance"
)

// Where waivers are: a line each, with an id and the reason.
const (
	ownWaivers    = "internal/matrix/waivers.txt"     // clauses without any test
	proberWaivers = "cmd/tandem/testdata/waivers.txt" // cases that the prober does not pass
)

func main() {
	check := flag.String("check", "", "compare with `FILE` instead of writing")
	flag.Parse()
	if err := run(os.Stdout, *check, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run reads the events of the files, or of standard input, and writes the page or compares it.
func run(w io.Writer, check string, files []string) error {
	m := newMatrix(conformance.Ledger())
	for path, keep := range map[string]map[string]string{ownWaivers: m.waived, proberWaivers: m.outside} {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("matrix: %w; run it in the root of the repository", err)
		}
		readWaivers(string(text), keep)
	}
	if len(files) == 0 {
		if err := m.read(os.Stdin); err != nil {
			return err
		}
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("matrix: %w", err)
		}
		err = m.read(f)
		f.Close()
		if err != nil {
			return err
		}
	}
	page := m.page()
	if check == "" {
		if _, err := w.Write(page); err != nil {
			return fmt.Errorf("matrix: %w", err)
		}
		return m.problems()
	}
	have, err := os.ReadFile(check)
	if err != nil {
		return fmt.Errorf("matrix: %w", err)
	}
	if err := m.problems(); err != nil {
		return err
	}
	if !bytes.Equal(have, page) {
		return fmt.Errorf("matrix: %s is not what the tests say; write it anew: %s", check, command)
	}
	return nil
}
