package manual

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// line is a command line with one of everything.
type line struct {
	Serve struct {
		Config string `placeholder:"FILE" required:"" help:"The settings."`
		State  string `placeholder:"DIR" help:"A place."`
		Quiet  bool   `short:"q" help:"Say less. Much less."`
	} `cmd:"" help:"Run -- it."`
	Things struct {
		List struct {
			Sort  string   `placeholder:"FIELD" complete:"sort" help:"By what."`
			Where []string `placeholder:"F=V" sep:"none" complete:"where" help:"Which."`
			Admin string   `env:"WHERE" help:"At."`
		} `cmd:"" default:"withargs" help:"List them."`
		Close struct {
			Admin string `help:"At."`
			ID    []int  `arg:"" complete:"id" help:"Which."`
		} `cmd:"" help:"Close one."`
		Hide struct{} `cmd:"" hidden:""`
	} `cmd:"" help:"List things."`
	Shell struct {
		Name string `arg:"" enum:"bash,zsh" help:"One."`
	} `cmd:"" help:".Print 'it\\'."`
}

// Help is what stands below.
func (*line) Help() string { return "" }

func model(t *testing.T) *kong.Application {
	t.Helper()
	p, err := kong.New(new(line), kong.Name("prog"), kong.Description("Does things."))
	if err != nil {
		t.Fatal(err)
	}
	return p.Model
}

// TestComplete: what may stand next, at each place of a command line.
func TestComplete(t *testing.T) {
	app := model(t)
	var asked Request
	list := func(r Request) []Word {
		asked = r
		return []Word{{Text: "7", Help: "open"}, {Text: "12"}, {Text: "a=b"}}
	}
	for _, c := range []struct {
		line string
		want string // the words, or the kind in brackets
	}{
		{"", "serve things shell"},
		{"s", "serve shell"},
		{"nothing ", ""},
		{"-", "--help"},
		{"serve -", "--help --config= --state= --quiet"},
		{"serve --c", "--config="},
		{"serve --config=x --", "--help --state= --quiet"},
		{"serve --config ", "[file]"},
		{"serve --config=x", "[file]"},
		{"serve --state=", "[directory]"},
		{"serve -q --config x --st", "--state="},
		{"serve ", ""},
		{"things ", "list close"},
		{"things --", "--help --sort= --where= --admin="},
		{"things --sort ", "7 12 a=b"},
		{"things --sort=1", "--sort=12"},
		{"things --where a=", "a=b"},
		{"things --where=a=", "--where=a=b"},
		{"things --where x=y --w", "--where="},
		{"things list --so", "--sort="},
		{"things close ", "7 12 a=b"},
		{"things close --admin there 1", "12"},
		{"things close 7 1", "12"},
		{"things close -- 1", "12"},
		{"shell ", "bash zsh"},
		{"shell z", "zsh"},
		{"shell zsh ", ""},
	} {
		got := Complete(app, strings.Split(c.line, " "), list)
		var words []string
		for _, w := range got.Words {
			words = append(words, got.Prefix+w.Text)
		}
		text := strings.Join(words, " ")
		if got.Kind != "" {
			text += "[" + got.Kind + "]"
		}
		if text != c.want {
			t.Errorf("%q: %q, want %q", c.line, text, c.want)
		}
	}
	Complete(app, strings.Split("things close --admin there 1", " "), list)
	if asked.Kind != "id" || asked.Path != "things close" || asked.Flags["admin"] != "there" || asked.Word != "1" {
		t.Errorf("asked for %+v", asked)
	}
	if got := Complete(app, nil, nil); len(got.Words) != 3 {
		t.Errorf("without a word: %+v", got)
	}
	if got := Complete(app, []string{"things", "close", ""}, nil); len(got.Words) != 0 {
		t.Errorf("without anybody to ask: %+v", got)
	}
}

// TestPrint: what the scripts read has a word a line, whatever is in it.
func TestPrint(t *testing.T) {
	var b strings.Builder
	c := Completion{Kind: Files, Prefix: "--x=", Words: []Word{{"a", "Does it. And more."}, {"b\x1b\n", "c\td."}}}
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	if want := "file\n--x=a\tDoes it\n--x=b\tcd\n"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

// TestScripts: there is a script for each shell that is known, which asks the program.
func TestScripts(t *testing.T) {
	for _, shell := range Shells {
		if script, ok := Script(shell); !ok || !strings.Contains(script, CompleteCommand) {
			t.Errorf("%s: %v %q", shell, ok, script)
		}
	}
	if _, ok := Script("cmd"); ok {
		t.Error("a script for nobody")
	}
}

// TestPages: every command, flag and argument is in the manual, and none that is hidden; nothing in it is read as a
// request.
func TestPages(t *testing.T) {
	book := Book{
		App: model(t), Version: "v1", Date: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		Settings: "a:\n  - b\n", SettingsName: "prog.yaml", Sections: []Section{{"EXIT STATUS", "0: done."}},
	}
	pages := make(map[string]string)
	for _, p := range book.Pages() {
		pages[p.Name] = string(p.Text)
	}
	for name, want := range map[string][]string{
		"prog.1":        {`.TH "PROG" 1 2026-11-22 "prog v1"`, "Does things.\n", `\fBserve\fR`, "prog\\-things (1),", ".BR prog.yaml (5)\n"},
		"prog-serve.1":  {"prog\\-serve \\- Run \\-\\- it\n", `\fB\-\-config\fR=\fIFILE\fR`, `\fB\-q\fR, \fB\-\-quiet\fR`, `.SH "EXIT STATUS"`},
		"prog-things.1": {".B prog things list\n[\\fIFLAGS\\fR]\n", `\fIID\fR ...`, "WHERE", `\fB\-\-sort\fR=\fIFIELD\fR`},
		"prog-shell.1":  {"\n\\&.Print 'it\\e'.\n"},
		"prog.yaml.5":   {".nf\na:\n  \\- b\n.fi\n"},
	} {
		for _, w := range want {
			if !strings.Contains(pages[name], w) {
				t.Errorf("%s does not have %q:\n%s", name, w, pages[name])
			}
		}
	}
	if len(pages) != 5 {
		t.Errorf("%d pages", len(pages))
	}
	known := []string{".TH", ".SH", ".TP", ".PP", ".B", ".I", ".BR", ".br", ".nf", ".fi", ".RS", ".RE", ".nh", ".ad"}
	for name, text := range pages {
		for l := range strings.Lines(text) {
			if word, _, _ := strings.Cut(strings.TrimSpace(l), " "); strings.HasPrefix(l, ".") && !slices.Contains(known, word) {
				t.Errorf("%s: a request that is not meant: %s", name, l)
			}
		}
		if strings.Contains(text, "hide") {
			t.Errorf("%s tells of a hidden command", name)
		}
	}
}
