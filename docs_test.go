package tandem_test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	// inlineLink is a link or a picture in Markdown, with its target.
	inlineLink = regexp.MustCompile(`\]\(([^()\s]+)(?:\s+"[^"]*")?\)`)
	// heading is a heading of Markdown.
	heading = regexp.MustCompile(`(?m)^#{1,6}\s+(.*?)\s*#*$`)
	// notSlug is what an anchor drops from its heading.
	notSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the targets inside a page, made of its headings as the usual hosts make them.
func anchors(text string) []string {
	var list []string
	for _, m := range heading.FindAllStringSubmatch(withoutFences(text), -1) {
		slug := strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		list = append(list, slug)
	}
	return list
}

// withoutFences blanks the code blocks of a page, so that what stands in them is not read as prose.
func withoutFences(text string) string {
	lines := strings.Split(text, "\n")
	inside := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || inside {
			lines[i] = ""
		}
		if fence {
			inside = !inside
		}
	}
	return strings.Join(lines, "\n")
}

// checkLinks finds links of the pages to files and headings that do not exist.
func checkLinks(tree fs.FS) ([]finding, error) {
	var found []finding
	var failed error
	err := walkFiles(tree, func(name string) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			failed = err
			return
		}
		for i, line := range strings.Split(withoutFences(string(text)), "\n") {
			for _, m := range inlineLink.FindAllStringSubmatch(line, -1) {
				if text := checkLink(tree, name, m[1]); text != "" {
					found = append(found, finding{name, i + 1, text})
				}
			}
		}
	})
	if failed != nil {
		err = failed
	}
	return found, err
}

// checkLink judges one link of a page, and says what is wrong with it, or nothing.
func checkLink(tree fs.FS, page, link string) string {
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(link, "#")
	to := page
	if file != "" {
		to = path.Join(path.Dir(page), file)
	}
	if _, err := fs.Stat(tree, to); err != nil {
		return fmt.Sprintf("the link to %s leads nowhere: links stay inside the repository and name a file that exists", link)
	}
	if anchor == "" || !strings.HasSuffix(to, ".md") {
		return ""
	}
	text, err := fs.ReadFile(tree, to)
	if err != nil {
		return err.Error()
	}
	if !slices.Contains(anchors(string(text)), anchor) {
		return fmt.Sprintf("%s has no heading for the link #%s", to, anchor)
	}
	return ""
}

// TestLinks holds that every link between our pages leads somewhere.
func TestLinks(t *testing.T) {
	found, err := checkLinks(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

// runMark and noRunMark are what stands above a block of commands.
var (
	runMark   = "<!-- run -->"
	noRunMark = regexp.MustCompile(`^<!-- not run: \S.* -->$`)
)

// checkCommands finds blocks of commands in a page about which nobody decided whether .ci/run runs them.
func checkCommands(name, text string) []finding {
	var found []finding
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "```sh" {
			continue
		}
		if above := lines[max(i-1, 0)]; above != runMark && !noRunMark.MatchString(above) {
			found = append(found, finding{name, i + 1, "write \"" + runMark + "\" on the line above, so that .ci/run runs these commands, or \"<!-- not run: the reason -->\""})
		}
	}
	return found
}

// TestCommands holds that each block of commands in the README and the page on deployment is run, or says why not.
func TestCommands(t *testing.T) {
	for _, page := range []string{"README.md", "docs/deploy.md"} {
		text, err := fs.ReadFile(repository(t), page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), runMark) {
			t.Error(page + ": no block of commands is marked with " + runMark)
		}
		report(t, checkCommands(page, string(text)))
	}
}

// locks are the locks that the product declares, as "room.Type.field" or "room.variable", and where.
func locks(sources []*source) map[string]finding {
	list := make(map[string]finding)
	isLock := func(t ast.Expr) bool {
		if star, ok := t.(*ast.StarExpr); ok {
			t = star.X
		}
		if array, ok := t.(*ast.ArrayType); ok {
			t = array.Elt
		}
		sel, ok := t.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && pkg.Name == "sync" && (sel.Sel.Name == "Mutex" || sel.Sel.Name == "RWMutex")
	}
	for _, s := range sources {
		if s.isTest() || s.room == bench {
			continue
		}
		add := func(owner string, names []*ast.Ident, t ast.Expr) {
			if !isLock(t) {
				return
			}
			if len(names) == 0 {
				name := s.room + "." + owner
				list[name] = s.at(t.Pos(), "%s", name)
			}
			for _, id := range names {
				name := s.room + "." + id.Name
				if owner != "" {
					name = s.room + "." + owner + "." + id.Name
				}
				list[name] = s.at(id.Pos(), "%s", name)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				ast.Inspect(n.Type, func(inner ast.Node) bool {
					if f, ok := inner.(*ast.Field); ok {
						add(n.Name.Name, f.Names, f.Type)
					}
					return true
				})
				return false
			case *ast.ValueSpec:
				add("", n.Names, n.Type)
			}
			return true
		})
	}
	return list
}

// lockLine is a row of the table in docs/locks.md.
var lockLine = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// checkLocks compares the locks of the sources with docs/locks.md, in both directions.
func checkLocks(page string, sources []*source) []finding {
	have := locks(sources)
	written := make(map[string]bool)
	var found []finding
	for _, m := range lockLine.FindAllStringSubmatch(page, -1) {
		written[m[1]] = true
		if _, ok := have[m[1]]; !ok {
			found = append(found, finding{"docs/locks.md", 0, fmt.Sprintf("no lock is called %s any more; take the line out", m[1])})
		}
	}
	for name, at := range have {
		if !written[name] {
			at.text = fmt.Sprintf("lock %s has no line in docs/locks.md; add \"| `%s` | what it guards | what may be locked while it is held |\"", name, name)
			found = append(found, at)
		}
	}
	return found
}

// TestLocks holds that docs/locks.md lists every lock.
func TestLocks(t *testing.T) {
	page, err := fs.ReadFile(repository(t), "docs/locks.md")
	if err != nil {
		t.Fatal(err)
	}
	report(t, checkLocks(string(page), repositorySources(t)))
}

// TestDocsCases proves the rules about pages.
func TestDocsCases(t *testing.T) {
	tree := fstest.MapFS{
		"README.md":    {Data: []byte("# One, two\n[a](docs/a.md) [b](docs/b.md) [c](#one-two) [d](#three) [e](https://example.org/x) ![f](f.png \"F\")\n```\n[g](g.md)\n```\n[h](docs) [i](docs/a.md#head-ing) [j](docs/a.md#other)")},
		"docs/a.md":    {Data: []byte("## Head-ing\n[back](../README.md) [out](../../shared/x.md)\n```sh\n# comment\n```\n[k](#comment)")},
		"x/testdata/n": {Data: []byte("[n](n.md)")},
	}
	found, err := checkLinks(tree)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, found, "README.md:2: the link to docs/b.md", "README.md:2: README.md has no heading for the link #three", "README.md:2: the link to f.png",
		"README.md:6: docs/a.md has no heading for the link #other", "docs/a.md:2: the link to ../../shared/x.md", "docs/a.md:6: docs/a.md has no heading")

	expect(t, checkCommands("p.md", "text\n```sh\na\n```\n<!-- run -->\n```sh\nb\n```\n<!-- not run: it serves until it is stopped -->\n```sh\nc\n```\n<!-- not run: -->\n```sh\nd\n```\n```yaml\ne\n```\n"),
		"p.md:2:", "p.md:14:")

	sources, err := readSources(fstest.MapFS{"room/x.go": {Data: []byte("package room\ntype A struct { mu sync.Mutex; b struct { in *sync.RWMutex } }\ntype E struct { sync.Mutex }\nvar top [4]sync.Mutex\nvar n int\n")}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, checkLocks("| lock | guards |\n| `room.A.mu` | all |\n| `room.Gone.mu` | none |\n", sources),
		"no lock is called room.Gone.mu", "x.go:2: lock room.A.in", "x.go:3: lock room.E has", "x.go:4: lock room.top")
}
