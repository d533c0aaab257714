package tandem_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// words maps what the glossary forbids to what it asks for.
var words = map[string]string{
	"inbound":   "accepted (connections), upstream or downstream (messages)",
	"outbound":  "dialed (connections), upstream or downstream (messages)",
	"backend":   "next hop",
	"txid":      "branch",
	"vhost":     "served domain",
	"heartbeat": "keepalive ping",
}

// forbidden finds the words; it needs no word boundary, because names are made of several.
var forbidden = regexp.MustCompile(`(?i)inbound|outbound|backend|txid|vhost|heartbeat`)

// checkWords finds words that docs/glossary.md replaces, in comments and in the names that a file declares.
// Outbound as the name of RFC 5626 passes where that number stands on the line, and HEARTBEAT as a chunk of SCTP.
func checkWords(s *source) []finding {
	var found []finding
	judge := func(line int, text string) {
		word := forbidden.FindString(text)
		if word == "" || word == "HEARTBEAT" || strings.EqualFold(word, "outbound") && strings.Contains(s.lineText(line), "RFC 5626") {
			return
		}
		found = append(found, finding{s.path, line, fmt.Sprintf("%q is not our word: say %s, as docs/glossary.md does", word, words[strings.ToLower(word)])})
	}
	comments(s, func(_ token.Pos, line int, text string) { judge(line, text) })
	judge(s.line(s.file.Name.Pos()), s.file.Name.Name)
	ast.Inspect(s.file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id != s.file.Name && id.Obj != nil && id.Obj.Pos() == id.Pos() {
			judge(s.line(id.Pos()), id.Name) // where it is declared
		}
		if d, ok := n.(*ast.FuncDecl); ok && d.Recv != nil {
			judge(s.line(d.Name.Pos()), d.Name.Name)
		}
		if f, ok := n.(*ast.Field); ok {
			for _, id := range f.Names {
				if id.Obj == nil || id.Obj.Pos() != id.Pos() {
					judge(s.line(id.Pos()), id.Name)
				}
			}
		}
		return true
	})
	return found
}

// proper are words that keep their capital inside an error text: header fields, names.
var proper = []string{"Via", "From", "To", "Contact", "Route", "Expires", "Require", "Supported", "Path", "Go", "Kamailio", "Linux", "Date", "Timestamp", "Warning", "Reason"}

// checkErrorTexts holds the form of error texts: the room first, lower case, no full stop. The room is
// asked for where an error leaves it for certain: in sentinels, and in what an exported function returns. A
// sentinel whose comment says that it comes wrapped gets the room from what wraps it.
func checkErrorTexts(s *source) []finding {
	if s.isTest() {
		return nil
	}
	leaves := leavingCalls(s)
	var found []finding
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isErrorCall(call) || len(call.Args) == 0 {
			return true
		}
		lit, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			return true
		}
		prefix := s.file.Name.Name + ": "
		rest := strings.TrimPrefix(text, prefix)
		switch {
		case rest == text && leaves[call] && prefix != "main: " && !strings.HasPrefix(text, "%"):
			found = append(found, s.at(lit.Pos(), "error text %q leaves the room: begin it with %q, or say in a sentinel's comment that it comes wrapped", text, prefix))
		case capitalised(rest):
			found = append(found, s.at(lit.Pos(), "error text %q begins with a capital letter", text))
		case strings.HasSuffix(text, ".") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "\n"):
			found = append(found, s.at(lit.Pos(), "error text %q ends like a sentence: no full stop, no line end", text))
		}
		return true
	})
	return found
}

// isErrorCall tells whether a call is errors.New or fmt.Errorf.
func isErrorCall(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && (pkg.Name == "errors" && sel.Sel.Name == "New" || pkg.Name == "fmt" && sel.Sel.Name == "Errorf")
}

// leavingCalls are the calls that make an error which certainly leaves the room.
func leavingCalls(s *source) map[*ast.CallExpr]bool {
	leaves := make(map[*ast.CallExpr]bool)
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					if strings.Contains(d.Doc.Text()+v.Doc.Text()+v.Comment.Text(), "wrapped") {
						continue
					}
					for i, value := range v.Values {
						if call, ok := value.(*ast.CallExpr); ok && i < len(v.Names) && v.Names[i].IsExported() {
							leaves[call] = true
						}
					}
				}
			}
		case *ast.FuncDecl:
			if !d.Name.IsExported() || d.Body == nil || d.Recv != nil && !ast.IsExported(receiver(d)) {
				continue
			}
			ast.Inspect(d.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncLit:
					return false
				case *ast.ReturnStmt:
					for _, result := range n.Results {
						if call, ok := result.(*ast.CallExpr); ok {
							leaves[call] = true
						}
					}
				}
				return true
			})
		}
	}
	return leaves
}

// capitalised tells whether a text begins with a capital that is neither an abbreviation's nor a name's.
func capitalised(text string) bool {
	first, size := utf8.DecodeRuneInString(text)
	if !unicode.IsUpper(first) {
		return false
	}
	word := text
	if i := strings.IndexAny(text, " :,%"); i >= 0 {
		word = text[:i]
	}
	rest := word[size:]
	return rest != "" && strings.ToLower(rest) == rest && !strings.ContainsAny(rest, "-0123456789") && !slices.Contains(proper, word)
}

// checkSleeps finds sleeps on the real clock in tests: inside a synctest bubble the clock is virtual, and
// a function that runs in one says so in its comment.
func checkSleeps(s *source) []finding {
	if !s.isTest() {
		return nil
	}
	var found []finding
	for _, decl := range s.file.Decls {
		if d, ok := decl.(*ast.FuncDecl); ok && strings.Contains(d.Doc.Text(), "synctest") {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch {
			case isCall(call, "synctest", "Test"):
				return false
			case isCall(call, "time", "Sleep"):
				found = append(found, s.at(call.Pos(), "time.Sleep in a test: use a testing/synctest bubble, or wait for what is to happen with a deadline"))
			}
			return true
		})
	}
	return found
}

// isCall tells whether a call is of a function of a package.
func isCall(call *ast.CallExpr, pkg, name string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// checkSkips compares the tests that skip with the list that says which may.
func checkSkips(allowed map[string]int, sources []*source) []finding {
	var found []finding
	used := make(map[string]bool)
	for _, s := range sources {
		if !s.isTest() {
			continue
		}
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || d.Body == nil {
				continue
			}
			ast.Inspect(d.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				for _, receiver := range []string{"t", "b", "f", "tb"} {
					for _, name := range []string{"Skip", "Skipf", "SkipNow"} {
						if !isCall(call, receiver, name) {
							continue
						}
						key := s.path + " " + d.Name.Name
						used[key] = true
						if allowed[key] == 0 {
							found = append(found, s.at(call.Pos(), "%s skips; let it run or fail, or give the reason in testdata/skips.txt", d.Name.Name))
						}
					}
				}
				return true
			})
		}
	}
	for key, line := range allowed {
		if !used[key] {
			found = append(found, finding{"testdata/skips.txt", line, "nothing in " + key + " skips any more; take the line out"})
		}
	}
	return found
}

// codeCases are cases of the rules in this file.
var codeCases = []styleCase{
	{"words", "good", "", "// The accepted connection and RFC 5626, SIP Outbound (RFC 5626).\ntype dialed struct { accepted int }\nvar x = \"inbound\"", nil},
	{"words", "chunk", "", "// It answers HEARTBEAT.\nvar x int", nil},
	{"words", "comment", "", "// The inbound leg.\nvar x int", []string{"\"inbound\" is not our word"}},
	{"words", "Outbound without its number", "", "// Outbound flows.\nvar x int", []string{"\"Outbound\""}},
	{"words", "names", "", "type backendList struct { OutboundQueue int }\nfunc (b backendList) inboundOf(vhost int) { txID := 1; _ = txID }\nfunc f() { return }",
		[]string{":2: \"backend\"", ":2: \"Outbound\"", ":3: \"inbound\"", ":3: \"vhost\"", ":3: \"txID\""}},
	{"words", "use of another's name", "", "import \"x/outbound\"\nfunc f() { outbound.Dial() }", nil},

	{"error texts", "good", "", "var ErrA = errors.New(\"room: it is closed\")\nfunc B() error { return fmt.Errorf(\"room: Via without %s: %w\", x, err) }\n" +
		"func c() error { return errors.New(\"half a text\") }\nfunc D() error { return fmt.Errorf(\"%w: more\", err) }\nfunc E() error { return errors.New(\"room: TLS failed\") }\n" +
		"func F() error { return errors.New(\"room: Content-Length is missing\") }\n// ErrG comes wrapped in a LookupError.\nvar ErrG = errors.New(\"no address\")", nil},
	{"error texts", "no room", "", "var ErrA = errors.New(\"it is closed\")\nfunc B() error { return fmt.Errorf(\"other: x\") }\n// T is it.\ntype T int\nfunc (T) C() (int, error) { return 0, errors.New(\"x\") }", []string{":2:", ":3:", ":6:"}},
	{"error texts", "capital", "", "func c() error { return errors.New(\"Half a text\") }\nfunc d() error { return errors.New(\"room: Half\") }", []string{"begins with a capital", "begins with a capital"}},
	{"error texts", "full stop", "", "func c() error { return errors.New(\"half a text.\") }\nfunc d() error { return fmt.Errorf(\"x\\n\") }", []string{"no full stop", "no full stop"}},
	{"error texts", "main needs no room", "cmd/x/main.go", "package main\nfunc C() error { return errors.New(\"half a text\") }", nil},

	{"sleeps", "in product code", "", "func a() { time.Sleep(1) }", nil},
	{"sleeps", "in a test", "room/x_test.go", "func TestA(t *testing.T) { t.Run(\"\", func(t *testing.T) { time.Sleep(1) }) }", []string{"time.Sleep in a test"}},
	{"sleeps", "in a bubble", "room/x_test.go", "func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }\n// step runs in a synctest bubble.\nfunc step() { time.Sleep(1) }", nil},
}
