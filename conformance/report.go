package conformance

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Verdict is what came of a case.
type Verdict string

// The verdicts.
const (
	Passed      Verdict = "passed"
	Failed      Verdict = "failed"
	NotTestable Verdict = "not_testable"
)

// Result is one case that was run.
type Result struct {
	Clause
	Does    string   `json:"does"` // what the prober does to find out
	Verdict Verdict  `json:"verdict"`
	Reason  string   `json:"reason,omitempty"` // why it is not passed
	Seen    []string `json:"seen"`             // what was on the wire, a line an event, with the seconds since the beginning
	Seconds float64  `json:"seconds"`
}

// Report is all that came of a run.
type Report struct {
	Target      string    `json:"target"`
	Address     string    `json:"address"`
	Begun       time.Time `json:"begun"`
	Seconds     float64   `json:"seconds"`
	Facts       Facts     `json:"facts"`
	Passed      int       `json:"passed"`
	Failed      int       `json:"failed"`
	NotTestable int       `json:"not_testable"`
	Cases       []Result  `json:"cases"`
}

func (r *Report) add(result Result) {
	r.Cases = append(r.Cases, result)
	switch result.Verdict {
	case Passed:
		r.Passed++
	case Failed:
		r.Failed++
	default:
		r.NotTestable++
	}
}

// Write writes the result for people: a line, and below it why it is not passed. What was on the wire follows
// for a failed one, and for all of them when verbose.
func (r Result) Write(w io.Writer, colour, verbose bool) error {
	words := map[Verdict][2]string{Passed: {"passed", "32"}, Failed: {"FAILED", "1;31"}, NotTestable: {"not testable", "33"}}[r.Verdict]
	word := fmt.Sprintf("%-12s", words[0])
	if colour {
		word = "\x1b[" + words[1] + "m" + word + "\x1b[0m"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-12s %-8s  %s\n", word, r.ID, r.Level, wrap(r.Requirement, 38))
	if r.Reason != "" {
		fmt.Fprintf(&b, "%14s%s\n", "", wrap(r.Reason, 14))
	}
	if verbose || r.Verdict == Failed {
		fmt.Fprintf(&b, "%14sThe prober %s.\n", "", wrap(r.Does, 14))
		for _, line := range r.Seen {
			fmt.Fprintf(&b, "%14s%s\n", "", line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// textWidth is how wide lines for people are at most, if their words allow it.
const textWidth = 118

// wrap breaks a text into lines that begin at a column, but for the first, which is there already.
func wrap(text string, column int) string {
	var b strings.Builder
	at := column
	for i, word := range strings.Fields(text) {
		if i > 0 && at+1+len(word) > textWidth {
			b.WriteString("\n" + strings.Repeat(" ", column))
			at = column
		} else if i > 0 {
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// WriteFacts writes what was found out about the target first.
func (f Facts) WriteFacts(w io.Writer) error {
	yes := map[bool]string{true: "yes", false: "no"}
	forwards := yes[f.Forwards]
	if f.WhyNot != "" {
		forwards += ": " + f.WhyNot
	}
	_, err := fmt.Fprintf(w, "  asks clients for a certificate     %s\n  forwards what the trigger sends    %s\n"+
		"  offers its connections for reuse   %s\n  honours the offer of an alias      %s\n",
		yes[f.AsksCertificate], forwards, yes[f.OffersAlias], yes[f.HonoursAlias])
	return err
}

// WriteSummary writes the last lines.
func (r *Report) WriteSummary(w io.Writer) error {
	_, err := fmt.Fprintf(w, "\n%s at %s, %.1f s: %d passed, %d failed, %d not testable\n", r.Target, r.Address, r.Seconds, r.Passed, r.Failed, r.NotTestable)
	return err
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("conformance: report: %w", err)
	}
	return nil
}

// junitSuite and what it is made of are the report as JUnit writes one.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Begun    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitReason `xml:"failure"`
	Skipped *junitReason `xml:"skipped"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as a JUnit test suite, for the pages of CI systems.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := junitSuite{Name: "tandem check " + r.Target, Tests: len(r.Cases), Failures: r.Failed, Skipped: r.NotTestable,
		Time: fmt.Sprintf("%.3f", r.Seconds), Begun: r.Begun.UTC().Format("2006-01-02T15:04:05")}
	for _, k := range r.Cases {
		j := junitCase{Class: k.Specification(), Name: k.ID + " " + k.Requirement, Time: fmt.Sprintf("%.3f", k.Seconds)}
		why := &junitReason{k.Reason, strings.Join(k.Seen, "\n")}
		switch k.Verdict {
		case Failed:
			j.Failure = why
		case NotTestable:
			j.Skipped = &junitReason{Message: k.Reason}
		}
		s.Cases = append(s.Cases, j)
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
	if err != nil {
		return fmt.Errorf("conformance: report: %w", err)
	}
	return nil
}
