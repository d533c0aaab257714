package tandem_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// layer is one line of layers.txt.
type layer struct {
	line    int
	room    string
	rooms   []string // what the room imports, and must import
	modules []string // modules it may import packages of, and must
	never   []string // packages of the standard library that it must not import
}

// layers is layers.txt as read.
type layers struct {
	rooms   []*layer
	byRoom  map[string]*layer
	testing []string // modules that only tests may import
}

// bench is the room that only tests may import.
const bench = "siptest"

// readLayers reads the text of layers.txt. What cannot be understood is a finding.
func readLayers(text string) (*layers, []finding) {
	ls := &layers{byRoom: make(map[string]*layer)}
	var found []finding
	bad := func(line int, format string, args ...any) {
		found = append(found, finding{"layers.txt", line, fmt.Sprintf(format, args...)})
	}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		columns := strings.Split(line, ":")
		if len(columns) != 3 && len(columns) != 4 {
			bad(i+1, "a line has the form \"room : rooms : modules\" or \"room : rooms : modules : never\"")
			continue
		}
		l := &layer{line: i + 1, room: strings.TrimSpace(columns[0]), rooms: strings.Fields(columns[1]), modules: strings.Fields(columns[2])}
		if len(columns) == 4 {
			l.never = strings.Fields(columns[3])
		}
		if l.room == "test" {
			ls.testing = append(ls.testing, l.modules...)
			continue
		}
		if l.room == "" || ls.byRoom[l.room] != nil {
			bad(i+1, "room %q is named twice or not at all; give each room one line", l.room)
			continue
		}
		for _, to := range l.rooms {
			// Lower rooms stand above: a list in this order can hold no circle.
			if ls.byRoom[to] == nil {
				bad(i+1, "%s imports %s, which has no line above this one; arrows point down only, so list %s first", l.room, to, to)
			}
		}
		ls.rooms = append(ls.rooms, l)
		ls.byRoom[l.room] = l
	}
	return ls, found
}

// application tells whether a room is above the library.
func application(room string) bool {
	return strings.HasPrefix(room, "internal/") || strings.HasPrefix(room, "cmd/") || room == "interop" || room == "deploy" || room == "."
}

// checkLayers compares the imports of the sources with layers.txt.
func checkLayers(ls *layers, sources []*source) []finding {
	var found []finding
	used := make(map[string]bool) // "room room" and "room module" arrows that product code has
	documented := make(map[string]bool)
	first := make(map[string]*source)
	for _, s := range sources {
		if first[s.room] == nil {
			first[s.room] = s
		}
		documented[s.room] = documented[s.room] || hasPackageComment(s)
		l := ls.byRoom[s.room]
		if l == nil {
			continue
		}
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				found = append(found, s.at(spec.Pos(), "import %s cannot be read", spec.Path.Value))
				continue
			}
			if text := checkImport(ls, l, s, name, used); text != "" {
				found = append(found, s.at(spec.Pos(), "%s", text))
			}
		}
	}
	for room, s := range first {
		if ls.byRoom[room] == nil {
			found = append(found, finding{s.path, 1, fmt.Sprintf("room %s has no line in layers.txt; add one that says what it may import", room)})
		}
		if !documented[room] {
			found = append(found, finding{s.path, 1, fmt.Sprintf("package %s has no package comment; say its task in one sentence above a package clause", s.file.Name.Name)})
		}
	}
	for _, l := range ls.rooms {
		if first[l.room] == nil {
			found = append(found, finding{"layers.txt", l.line, fmt.Sprintf("room %s is listed and has no Go files; write it or take the line out", l.room)})
			continue
		}
		for _, to := range slices.Concat(l.rooms, l.modules) {
			if !used[l.room+" "+to] {
				found = append(found, finding{"layers.txt", l.line, fmt.Sprintf("no file of %s imports %s outside tests; take it out of the line", l.room, to)})
			}
		}
	}
	for _, module := range ls.testing {
		if !used["test "+module] {
			found = append(found, finding{"layers.txt", 0, fmt.Sprintf("no test imports %s; take it out of the line \"test\"", module)})
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.String(), b.String()) })
	return found
}

// hasPackageComment tells whether a file carries the comment of its package, in the form that go doc shows.
func hasPackageComment(s *source) bool {
	doc := s.file.Doc.Text()
	name := s.file.Name.Name
	if name == "main" {
		return doc != ""
	}
	return strings.HasPrefix(doc, "Package "+strings.TrimSuffix(name, "_test")+" ")
}

// checkImport judges one import of a file and notes in used which listed arrow it is. It returns what is
// wrong with it, or nothing.
func checkImport(ls *layers, l *layer, s *source, name string, used map[string]bool) string {
	room, ours := strings.CutPrefix(name, modulePath+"/")
	if name == modulePath {
		room, ours = ".", true
	}
	if ours {
		return checkRoomImport(ls, l, s, room, used)
	}
	if head, _, _ := strings.Cut(name, "/"); !strings.Contains(head, ".") { // the standard library
		if !s.isTest() && slices.Contains(l.never, name) {
			return fmt.Sprintf("%s must never import %s: layers.txt says so", l.room, name)
		}
		return ""
	}
	for _, module := range l.modules {
		if inModule(name, module) {
			if !s.isTest() {
				used[l.room+" "+module] = true
			}
			return ""
		}
	}
	if s.isTest() {
		for _, module := range ls.testing {
			if inModule(name, module) {
				used["test "+module] = true
				return ""
			}
		}
		return fmt.Sprintf("tests of %s may not import %s; prefer the standard library, or add the module to the line \"test\" of layers.txt and a page to docs/decisions", l.room, name)
	}
	return fmt.Sprintf("%s may not import %s; prefer the standard library, or add the module to its line in layers.txt and a page to docs/decisions", l.room, name)
}

// checkRoomImport is checkImport for a room of this module.
func checkRoomImport(ls *layers, l *layer, s *source, room string, used map[string]bool) string {
	switch {
	case room == l.room: // an external test package
		return ""
	case !s.isTest() && room == bench && l.room != bench:
		return fmt.Sprintf("%s is the test bench; only test files may import it", bench)
	case slices.Contains(l.rooms, room):
		if !s.isTest() {
			used[l.room+" "+room] = true
		}
		return ""
	case s.isTest() && room == bench:
		return ""
	case s.isTest() && application(l.room) && ls.byRoom[room] != nil:
		return "" // tests of the application see the house assembled
	}
	return fmt.Sprintf("%s may not import %s; ask whether the code belongs in another room, declare an interface here, or add the arrow to layers.txt", l.room, room)
}

// inModule tells whether a package is of a module.
func inModule(name, module string) bool {
	return name == module || strings.HasPrefix(name, module+"/")
}

// TestLayers holds layers.txt: the rooms import what it lists, all of it, and nothing else.
func TestLayers(t *testing.T) {
	text, err := fs.ReadFile(repository(t), "layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	ls, found := readLayers(string(text))
	report(t, found)
	report(t, checkLayers(ls, repositorySources(t)))
}

// requirement is one required module in go.mod, and the comment behind it.
var requirement = regexp.MustCompile(`(?m)^(?:require)?[ \t]+([a-z0-9.-]+\.[a-z]+/\S+) v\S+( // indirect)?$`)

// checkModules compares go.mod with layers.txt and the decision records: each module that we require has
// a room that uses it and a page that says why.
func checkModules(ls *layers, gomod string, decisions map[string]string) []finding {
	var found []finding
	listed := slices.Clone(ls.testing)
	for _, l := range ls.rooms {
		listed = append(listed, l.modules...)
	}
	slices.Sort(listed)
	listed = slices.Compact(listed)
	for _, m := range requirement.FindAllStringSubmatch(gomod, -1) {
		if m[2] == "" && !slices.Contains(listed, m[1]) {
			found = append(found, finding{"go.mod", 0, fmt.Sprintf("no room of layers.txt imports %s; run go mod tidy, or list it", m[1])})
		}
	}
	for _, module := range listed {
		recorded := false
		for _, text := range decisions {
			recorded = recorded || strings.Contains(text, "`"+module+"`")
		}
		if !recorded {
			found = append(found, finding{"layers.txt", 0, fmt.Sprintf("no page of docs/decisions names `%s`; write one: the question, the choice, its price", module)})
		}
	}
	return found
}

// TestModules holds that each module has a line in layers.txt and a page in docs/decisions.
func TestModules(t *testing.T) {
	tree := repository(t)
	text, err := fs.ReadFile(tree, "layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := fs.ReadFile(tree, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	decisions := make(map[string]string)
	pages, err := fs.Glob(tree, "docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := fs.ReadFile(tree, page)
		if err != nil {
			t.Fatal(err)
		}
		decisions[page] = string(text)
	}
	ls, _ := readLayers(string(text))
	report(t, checkModules(ls, string(gomod), decisions))
}

// TestLayersCases proves each rule of checkLayers with a small house that breaks it.
func TestLayersCases(t *testing.T) {
	const list = "sip : : : net\nsiptest : sip : example.org/dns\nproxy : sip :\ninternal/node : proxy sip :\ntest : : example.org/quick\n"
	house := map[string]string{
		"sip/sip.go":          "// Package sip reads.\npackage sip\nimport \"net/netip\"\nvar A netip.Addr",
		"siptest/siptest.go":  "// Package siptest plays.\npackage siptest\nimport (\n\"example.org/dns/server\"\n\"" + modulePath + "/sip\"\n)",
		"proxy/proxy.go":      "// Package proxy forwards.\npackage proxy\nimport \"" + modulePath + "/sip\"",
		"proxy/proxy_test.go": "package proxy_test\nimport (\n\"net\"\n\"" + modulePath + "/proxy\"\n\"" + modulePath + "/siptest\"\n\"example.org/quick\"\n)",
		"internal/node/n.go":  "// Package node joins.\npackage node\nimport (\n\"" + modulePath + "/sip\"\n\"" + modulePath + "/proxy\"\n)",
		"internal/node/n2.go": "package node",
		"other/go.mod":        "module other",
		"other/bad.go":        "package bad",
		"sip/testdata/x.go":   "package x",
		".ci/tools/main.go":   "package main",
		"proxy/README.md":     "prose",
	}
	tests := []struct {
		name   string
		list   string            // instead of list
		change map[string]string // files that differ
		want   []string
	}{
		{"good", list, nil, nil},
		{"unlisted room", list, map[string]string{"extra/x.go": "// Package extra is extra.\npackage extra"}, []string{"room extra has no line"}},
		{"unlisted arrow", list, map[string]string{"sip/up.go": "package sip\nimport \"" + modulePath + "/proxy\""}, []string{"sip/up.go:2: sip may not import proxy"}},
		{"unlisted arrow in a test", list, map[string]string{"sip/up_test.go": "package sip_test\nimport \"" + modulePath + "/proxy\""}, []string{"sip/up_test.go:2: sip may not import proxy"}},
		{"test of the application sees all", list + "extra : :\n", map[string]string{
			"extra/x.go": "// Package extra is extra.\npackage extra", "internal/node/n_test.go": "package node\nimport \"" + modulePath + "/extra\""}, nil},
		{"unused arrow", "sip : :\nsiptest : sip : example.org/dns\nproxy : sip :\ninternal/node : proxy sip siptest :\n" + "test : : example.org/quick", nil, []string{"no file of internal/node imports siptest"}},
		{"arrow that only a test uses", strings.Replace(list, "siptest : sip :", "extra : :\nsiptest : sip extra :", 1), map[string]string{
			"extra/x.go": "// Package extra is extra.\npackage extra", "siptest/s_test.go": "package siptest\nimport \"" + modulePath + "/extra\""}, []string{"no file of siptest imports extra"}},
		{"unused module", strings.Replace(list, "proxy : sip :", "proxy : sip : example.org/yaml", 1), nil, []string{"no file of proxy imports example.org/yaml"}},
		{"unlisted module", list, map[string]string{"sip/m.go": "package sip\nimport \"example.org/yaml/v3\""}, []string{"sip may not import example.org/yaml/v3"}},
		{"test module in product code", list, map[string]string{"sip/m.go": "package sip\nimport \"example.org/quick\""}, []string{"sip may not import example.org/quick"}},
		{"unlisted module in a test", list, map[string]string{"sip/m_test.go": "package sip\nimport \"example.org/quickly\""}, []string{"tests of sip may not import example.org/quickly"}},
		{"forbidden package", list, map[string]string{"sip/n.go": "package sip\nimport \"net\""}, []string{"sip must never import net"}},
		{"test bench in product code", list, map[string]string{"proxy/b.go": "package proxy\nimport \"" + modulePath + "/siptest\""}, []string{"only test files may import it"}},
		{"no package comment", list, map[string]string{"sip/sip.go": "package sip"}, []string{"package sip has no package comment"}},
		{"package comment of another form", list, map[string]string{"sip/sip.go": "// sip reads.\npackage sip"}, []string{"package sip has no package comment"}},
		{"unused test module", list + "test : : example.org/leak", nil, []string{"no test imports example.org/leak"}},
		{"absent room", list + "cluster : :\n", nil, []string{"room cluster is listed and has no Go files"}},
		{"arrow upwards", "proxy : sip :\nsip : :\nsiptest : sip : example.org/dns\ninternal/node : proxy sip :\ntest : : example.org/quick", nil, []string{"layers.txt:1: proxy imports sip, which has no line above"}},
		{"room twice", list + "sip : :\n", nil, []string{"room \"sip\" is named twice"}},
		{"bad line", list + "sip sipaddr\n", nil, []string{"a line has the form"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := make(fstest.MapFS)
			for name, text := range house {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			for name, text := range test.change {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			sources, err := readSources(tree)
			if err != nil {
				t.Fatal(err)
			}
			ls, found := readLayers(test.list)
			expect(t, append(found, checkLayers(ls, sources)...), test.want...)
		})
	}
}

// TestModulesCases proves the rules of checkModules.
func TestModulesCases(t *testing.T) {
	ls, _ := readLayers("sip : : example.org/dns\ntest : : example.org/quick")
	gomod := "module m\n\nrequire (\n\texample.org/dns v1.0.0\n\texample.org/left v1.0.0\n\texample.org/far v1.0.0 // indirect\n)\n"
	expect(t, checkModules(ls, gomod, map[string]string{"a.md": "We take `example.org/dns`."}),
		"no room of layers.txt imports example.org/left", "no page of docs/decisions names `example.org/quick`")
}
