package tandem_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// modulePath is what go.mod calls this module.
const modulePath = "github.com/tandem-sip/tandem"

// finding is one place where a rule is broken, with what to do about it.
type finding struct {
	path string
	line int
	text string
}

// String writes the finding as compilers do, so that editors can jump to it.
func (f finding) String() string {
	if f.line == 0 {
		return f.path + ": " + f.text
	}
	return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text)
}

// source is one Go file of the repository, parsed.
type source struct {
	path string // slash-separated, relative to the root
	room string // its directory; "." for the root
	text string
	fset *token.FileSet
	file *ast.File
}

// isTest tells whether the file belongs to tests only.
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// line is the line of a position in the file.
func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// at makes a finding at a position of the file.
func (s *source) at(p token.Pos, format string, args ...any) finding {
	return finding{s.path, s.line(p), fmt.Sprintf(format, args...)}
}

// lineText is the text of one line of the file, counted from 1.
func (s *source) lineText(n int) string {
	lines := strings.Split(s.text, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return lines[n-1]
}

// walkFiles calls visit for each file of the repository that is ours to judge: what tools skip (testdata,
// names that begin with a dot or an underscore, directories with a go.mod of their own) is skipped here too.
func walkFiles(tree fs.FS, visit func(name string)) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		base := path.Base(name)
		if !d.IsDir() {
			visit(name)
			return nil
		}
		if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
			return fs.SkipDir
		}
		if _, err := fs.Stat(tree, path.Join(name, "go.mod")); err == nil {
			return fs.SkipDir
		}
		return nil
	})
}

// readSources parses every Go file of a tree, whatever its build tags are.
func readSources(tree fs.FS) ([]*source, error) {
	var names []string
	if err := walkFiles(tree, func(name string) {
		if strings.HasSuffix(name, ".go") {
			names = append(names, name)
		}
	}); err != nil {
		return nil, err
	}
	slices.Sort(names)
	sources := make([]*source, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		sources = append(sources, &source{name, path.Dir(name), string(text), fset, file})
	}
	return sources, nil
}

// repository is the tree that the tests judge: the directory that they run in is the root.
func repository(t *testing.T) fs.FS {
	t.Helper()
	if _, err := os.Stat("go.mod"); err != nil {
		t.Fatalf("these tests run in the root of the repository: %v", err)
	}
	return os.DirFS(".")
}

// repositorySources parses the repository.
func repositorySources(t *testing.T) []*source {
	t.Helper()
	sources, err := readSources(repository(t))
	if err != nil {
		t.Fatalf("reading the sources: %v", err)
	}
	return sources
}

// report fails the test with each finding.
func report(t *testing.T, findings []finding) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// expect checks that the findings are those that a negative case was built for: one for each wanted text,
// which it contains, in any order.
func expect(t *testing.T, got []finding, want ...string) {
	t.Helper()
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(f finding) bool { return strings.Contains(f.String(), w) })
		if i < 0 {
			t.Errorf("no finding says %q; findings: %v", w, got)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, f := range left {
		t.Errorf("a finding that was not expected: %v", f)
	}
}
