// Command tools is the part of the lint set that runs inside "go vet": analyzers of several authors in one
// program, so that each package is loaded and type-checked once.
//
// A finding that is wrong is silenced on its line, or from the line above, with the form that staticcheck
// uses: //lint:ignore NAME reason. A directive without a reason silences nothing.
package main

import (
	"flag"
	"regexp"
	"strings"

	"github.com/alexkohler/nakedret/v2"
	gocritic "github.com/go-critic/go-critic/checkers/analyzer"
	"github.com/gordonklaus/ineffassign/pkg/ineffassign"
	"github.com/kisielk/errcheck/errcheck"
	"github.com/polyfloyd/go-errorlint/errorlint"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/deepequalerrors"
	"golang.org/x/tools/go/analysis/passes/nilness"
	"golang.org/x/tools/go/analysis/passes/reflectvaluecompare"
	"golang.org/x/tools/go/analysis/passes/sortslice"
	"golang.org/x/tools/go/analysis/passes/unusedwrite"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	// errors.Is and errors.As decide; comparing with == is for io.EOF and the like, which the analyzer knows.
	errorlint := errorlint.NewAnalyzer()
	set(&errorlint.Flags, "asserts", "true")
	// What is wrong or suspicious; opinions on style and cost stay off.
	set(&gocritic.Analyzer.Flags, "enable", "#diagnostic,#security")

	var all []*analysis.Analyzer
	for _, a := range []*analysis.Analyzer{
		deepequalerrors.Analyzer,
		errcheck.Analyzer,
		errorlint,
		gocritic.Analyzer,
		ineffassign.Analyzer,
		nakedret.NakedReturnAnalyzer(&nakedret.NakedReturnRunner{MaxLength: 10}),
		nilness.Analyzer,
		reflectvaluecompare.Analyzer,
		sortslice.Analyzer,
		unusedwrite.Analyzer,
	} {
		// A test sees at once what it did not check, and an example shows fields that it does not read.
		all = append(all, obeying(a, a.Name == "errcheck" || a.Name == "errorlint" || a.Name == "unusedwrite"))
	}
	unitchecker.Main(all...)
}

// set gives an analyzer's flag a value; a name that the analyzer does not have is a bug here.
func set(flags *flag.FlagSet, name, value string) {
	if err := flags.Set(name, value); err != nil {
		panic(err)
	}
}

// directive is a comment that silences one analyzer, or several with commas between them.
var directive = regexp.MustCompile(`^//lint:ignore (\S+) \S`)

// obeying returns the analyzer without the findings that a directive silences, and without those in tests
// if it is for product code only.
func obeying(a *analysis.Analyzer, product bool) *analysis.Analyzer {
	run := a.Run
	a.Run = func(pass *analysis.Pass) (any, error) {
		silenced := make(map[string]map[int]bool)
		for _, file := range pass.Files {
			for _, group := range file.Comments {
				for _, c := range group.List {
					m := directive.FindStringSubmatch(c.Text)
					if m == nil {
						continue
					}
					for _, name := range strings.Split(m[1], ",") {
						if name != a.Name {
							continue
						}
						p := pass.Fset.Position(c.Pos())
						if silenced[p.Filename] == nil {
							silenced[p.Filename] = make(map[int]bool)
						}
						silenced[p.Filename][p.Line] = true
						silenced[p.Filename][p.Line+1] = true
					}
				}
			}
		}
		report := pass.Report
		pass.Report = func(d analysis.Diagnostic) {
			p := pass.Fset.Position(d.Pos)
			if !silenced[p.Filename][p.Line] && !(product && strings.HasSuffix(p.Filename, "_test.go")) {
				d.Message += " (" + a.Name + ")" // go vet does not say whose it is
				report(d)
			}
		}
		return run(pass)
	}
	return a
}
