package tandem_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

// comments calls visit with each line of each comment of a file, without its marker and the blank behind it.
func comments(s *source, visit func(pos token.Pos, line int, text string)) {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			first := s.line(c.Pos())
			text := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(c.Text, "//"), "/*"), "*/")
			for i, line := range strings.Split(text, "\n") {
				visit(c.Pos(), first+i, strings.TrimPrefix(line, " "))
			}
		}
	}
}

var (
	// anyRFC is whatever looks as if it named an RFC, with what follows it.
	anyRFC = regexp.MustCompile(`(?i)\brfcs?[ -]?\d+(,? *(sections?\b|sect?\.|chapters?\b|§|#|\(?\d)[^ ]*( \d)?)?`)
	// goodRFC is the citation form, and an RFC that is named as a whole.
	goodRFC = regexp.MustCompile(`^RFC \d+(, Section \d)?$`)
	// bareSection is a section whose RFC does not stand before it.
	bareSection = regexp.MustCompile(`(?i)\b(sections?|sect?\.)[ ~]?\d`)
	// citedSection is what may stand before a section number.
	citedSection = regexp.MustCompile(`RFC \d+, $`)
)

// checkCitations holds the one form in which comments cite a clause, so that a search finds them all.
func checkCitations(s *source) []finding {
	const want = "cite as \"RFC 3261, Section 16.6\", on one line, once for each section"
	var found []finding
	comments(s, func(_ token.Pos, line int, text string) {
		bad := ""
		for _, cite := range anyRFC.FindAllString(text, -1) {
			if isFileName(text, cite) {
				continue
			}
			if !goodRFC.MatchString(strings.TrimRight(cutNumber(cite), ".,;:)")) {
				bad = cite
			}
		}
		for _, at := range bareSection.FindAllStringIndex(text, -1) {
			if bad == "" && (!citedSection.MatchString(text[:at[0]]) || !strings.HasPrefix(text[at[0]:], "Section ")) {
				bad = text[at[0]:at[1]]
			}
		}
		if bad == "" && strings.Contains(text, "§") {
			bad = "§"
		}
		if bad != "" {
			found = append(found, finding{s.path, line, "citation \"" + bad + "\": " + want})
		}
	})
	return found
}

// cutNumber leaves one digit of a section number: the form is judged, not the number.
func cutNumber(cite string) string {
	if before, after, ok := strings.Cut(cite, ", Section "); ok && after != "" {
		return before + ", Section " + after[:1]
	}
	return cite
}

// isFileName tells whether a citation is part of a name in lower case, as of a directory of the corpus.
func isFileName(text, cite string) bool {
	return strings.HasPrefix(cite, "rfc") && len(cite) > 3 && cite[3] >= '0' && cite[3] <= '9' && !strings.Contains(cite, " ") ||
		strings.Contains(text, "/"+cite) || strings.Contains(text, cite+"/")
}

// checkDocComments finds exported names of product code whose comment is missing, or does not begin with
// the name, or is no sentence.
func checkDocComments(s *source) []finding {
	if s.isTest() {
		return nil
	}
	var found []finding
	judge := func(name *ast.Ident, doc *ast.CommentGroup) {
		text := doc.Text()
		switch first, _, _ := strings.Cut(text, "\n\n"); {
		case !name.IsExported():
		case text == "":
			found = append(found, s.at(name.Pos(), "%s has no doc comment; write a sentence that begins with the name and says what the reader cannot see", name.Name))
		case !strings.HasPrefix(text, name.Name+" ") && !strings.HasPrefix(text, name.Name+",") && !strings.HasPrefix(text, name.Name+"\n"):
			found = append(found, s.at(name.Pos(), "the doc comment of %s begins with another word", name.Name))
		case !strings.ContainsAny(lastRune(first), ".:!?)"):
			found = append(found, s.at(name.Pos(), "the doc comment of %s is not a full sentence: it has no full stop", name.Name))
		}
	}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d)) {
				judge(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch sp := spec.(type) {
				case *ast.TypeSpec:
					if sp.Doc != nil || d.Lparen.IsValid() {
						judge(sp.Name, sp.Doc)
					} else {
						judge(sp.Name, d.Doc)
					}
				case *ast.ValueSpec:
					judgeValues(d, sp, judge)
				}
			}
		}
	}
	return found
}

// judgeValues judges the constants or variables of one line. In a block, the comment above the block or
// behind the line will do, in any words: registries are written so.
func judgeValues(d *ast.GenDecl, spec *ast.ValueSpec, judge func(*ast.Ident, *ast.CommentGroup)) {
	if d.Lparen.IsValid() && (d.Doc != nil || spec.Doc != nil || spec.Comment != nil) {
		return
	}
	doc := d.Doc
	if spec.Doc != nil {
		doc = spec.Doc
	}
	judge(spec.Names[0], doc)
}

// lastRune is the last character of a text, or nothing.
func lastRune(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return text[len(text)-1:]
}

// receiver is the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// checkGoroutines finds go statements without a comment right above that says when the goroutine ends.
func checkGoroutines(s *source) []finding {
	ends := make(map[int]bool) // lines on which a comment of its own ends
	for _, group := range s.file.Comments {
		n := s.line(group.End())
		if trimmed := strings.TrimSpace(s.lineText(n)); strings.HasPrefix(trimmed, "//") || strings.HasSuffix(trimmed, "*/") {
			ends[n] = true
		}
	}
	var found []finding
	ast.Inspect(s.file, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok && !ends[s.line(g.Pos())-1] {
			found = append(found, s.at(g.Pos(), "say in a comment on the line above when this goroutine ends"))
		}
		return true
	})
	return found
}

var (
	// openEnd begins a note about unfinished work.
	openEnd = regexp.MustCompile(`^\s*(TODO|FIXME|XXX|HACK)\b`)
	// goodTODO is the one form of such a note.
	goodTODO = regexp.MustCompile(`^\s*TODO\(#\d+\): \S`)
)

// checkTODO holds that unfinished work names its issue.
func checkTODO(s *source) []finding {
	var found []finding
	comments(s, func(_ token.Pos, line int, text string) {
		if openEnd.MatchString(text) && !goodTODO.MatchString(text) {
			found = append(found, finding{s.path, line, "write TODO(#123): what is missing, with the number of its issue"})
		}
	})
	return found
}

// checkDeadCode finds lines of comments that are Go and not English. Examples in doc comments are
// indented, and pass.
func checkDeadCode(s *source) []finding {
	var found []finding
	comments(s, func(pos token.Pos, line int, text string) {
		own := strings.HasPrefix(strings.TrimSpace(s.lineText(s.line(pos))), "//")
		if own && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "\t") && isCode(text) {
			found = append(found, finding{s.path, line, "this looks like commented-out code; take it out, version control keeps it"})
		}
	})
	return found
}

// isCode guesses whether a line was taken from Go source. It asks for a whole statement that prose does
// not form by chance.
func isCode(text string) bool {
	text = strings.TrimSpace(text)
	if text == "}" || strings.HasPrefix(text, "} else") {
		return true
	}
	block := strings.HasSuffix(text, "{")
	if block {
		text += "}"
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+text+"\n}", 0)
	if err != nil {
		_, err = parser.ParseFile(token.NewFileSet(), "", "package p\n"+text, 0)
		return err == nil && (block && strings.HasPrefix(text, "func ") || strings.HasPrefix(text, "import \""))
	}
	body := file.Decls[0].(*ast.FuncDecl).Body.List
	if len(body) != 1 {
		return false
	}
	switch st := body[0].(type) {
	case *ast.AssignStmt:
		return st.Tok != token.ASSIGN || strings.ContainsAny(text, "([.")
	case *ast.ExprStmt:
		_, call := st.X.(*ast.CallExpr)
		return call
	case *ast.ReturnStmt:
		return len(st.Results) > 1 || len(st.Results) == 1 && strings.ContainsAny(text, "([{.")
	case *ast.DeferStmt, *ast.GoStmt, *ast.DeclStmt:
		return true
	case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.SelectStmt:
		return block
	}
	return false
}

// commentCases are cases of the rules in this file.
var commentCases = []styleCase{
	{"citations", "good", "", "// It follows RFC 5923, Section 8.2. See RFC 3261, Section 17.1.1.2, and RFC 3581 (RFC 3261, Section 8).\n" +
		"// RFC 6026 changed it; the messages of rfc4475 and testdata/rfc5118.txt; RFC 3261, Table 4; 5923-8.2-4.", nil},
	{"citations", "no blank", "", "// See RFC3261.", []string{"RFC3261"}},
	{"citations", "lower case", "", "// See rfc 3261.", []string{"rfc 3261"}},
	{"citations", "no comma", "", "// See RFC 3261 Section 16.3.", []string{"RFC 3261 Section"}},
	{"citations", "small section", "", "// See RFC 3261, section 16.3.", []string{"RFC 3261, section"}},
	{"citations", "number alone", "", "// See RFC 3261 16.3.", []string{"RFC 3261 16.3"}},
	{"citations", "number behind a comma", "", "// See RFC 3261, 16.3.", []string{"RFC 3261, 16.3"}},
	{"citations", "paragraph sign", "", "// See RFC 3261 §16.3.", []string{"RFC 3261 §16.3"}},
	{"citations", "paragraph sign alone", "", "// See § 16.3.", []string{"§"}},
	{"citations", "turned round", "", "// See Section 16.3 of RFC 3261.", []string{"Section 1"}},
	{"citations", "bare", "", "// See section 8.2.", []string{"section 8"}},
	{"citations", "second one bare", "", "// RFC 3261, Section 16.6 and Section 16.7.", []string{"Section 1"}},
	{"citations", "plural", "", "// RFC 3261, Sections 7 and 19.", []string{"RFC 3261, Sections"}},
	{"citations", "broken line", "", "// RFC 3261,\n// Section 7 says so.", []string{"file.go:3: citation \"Section 7\""}},
	{"citations", "abbreviated", "", "// RFC 3261 Sec. 7", []string{"RFC 3261 Sec."}},

	{"doc comments", "good", "", "// A is one.\ntype A int\n// B does it:\n//\n//\tB()\nfunc B() {}\n// Codes are from RFC 3261.\nconst (\nC = 1\nD = 2\n)\nvar (\nE = 1 // the fifth\n)\n" +
		"// F is a\n// pair.\nvar F, G = 1, 2\ntype h int\nfunc (h) String() string { return \"\" }\n// String is it.\nfunc (a *A) String() string { return \"\" }", nil},
	{"doc comments", "none", "", "type A int\nfunc B() {}\nfunc (b *A) C() {}\nvar D int\nconst E = 1\ntype (\nF int\n)", []string{"A has no", "B has no", "C has no", "D has no", "E has no", "F has no"}},
	{"doc comments", "other word", "", "// Makes an A.\nfunc NewA() {}\n// The type A.\ntype A int\n// NewBs is plural.\nfunc NewB() {}", []string{"of NewA begins", "of A begins", "of NewB begins"}},
	{"doc comments", "no sentence", "", "// A is one\ntype A int", []string{"of A is not a full sentence"}},
	{"doc comments", "generic receiver", "", "// A is one.\ntype A[T any] int\nfunc (a *A[T]) B() {}", []string{"B has no"}},
	{"doc comments", "tests are free", "room/x_test.go", "func TestA() {}", nil},

	{"goroutines", "good", "", "func a() {\n// ends with a\ngo a()\n/* ends\nlater */\ngo a()\n}", nil},
	{"goroutines", "none", "", "func a() {\ngo a()\n}", []string{"file.go:3: say in a comment"}},
	{"goroutines", "a blank line between", "", "func a() {\n// ends\n\ngo a()\n}", []string{"file.go:5: say"}},
	{"goroutines", "behind other code", "", "func a() {\na() // ends\ngo a()\n}", []string{"file.go:4: say"}},

	{"TODO", "good", "", "// TODO(#12): write it\n// A TODO list is a list.", nil},
	{"TODO", "bad", "", "// TODO: write it\n// TODO(me): write it\n// FIXME now\n// TODO(#1):", []string{":2:", ":3:", ":4:", ":5:"}},

	{"dead code", "prose", "", "// A row is added, if there is room (see Add).\n// return early\n// n = 3\n// Close\n// for each of them\n// x := y in Go\n//\n//\tAdd(row)\n" +
		"// Step(event, now) -> actions\n// key: value\nvar a = 1 // b(c)", nil},
	{"dead code", "code", "", "func a() {\n// x := 1\n// a()\n// if x == 1 {\n// return nil, err\n// }\n// defer a()\n// b.x = 1\n// var y int\n}\n//func b() {", []string{":3:", ":4:", ":5:", ":6:", ":7:", ":8:", ":9:", ":10:", ":12:"}},
}
