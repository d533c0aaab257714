package manual

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Book is what manual pages are made of.
type Book struct {
	App     *kong.Application
	Version string
	Date    time.Time // of the pages
	// Sections are put at the end of every page, before SEE ALSO.
	Sections []Section
	// Settings is the annotated sample of the configuration file, and SettingsName the name of its page.
	Settings, SettingsName string
}

// Section is one of a page: a heading, and paragraphs as in a help text, where lines that begin with spaces are shown as
// they are.
type Section struct{ Heading, Text string }

// Page is a manual page for man(7).
type Page struct {
	Name string // of the file, such as tandem-serve.1
	Text []byte
}

// Pages makes one page for the program, one for each command, and one for the configuration file.
func (b *Book) Pages() []Page {
	commands := commandsOf(b.App.Node)
	pages := []Page{b.program(commands)}
	for _, c := range commands {
		pages = append(pages, b.command(c, commands))
	}
	return append(pages, b.settings())
}

// page begins one.
func (b *Book) page(name, section, summary string) *roff {
	r := new(roff)
	r.raw(fmt.Sprintf(".TH %s %s %s %s %s\n", quoted(strings.ToUpper(name)), section, b.Date.UTC().Format(time.DateOnly),
		quoted(b.App.Name+" "+b.Version), quoted("Manual of "+b.App.Name)))
	r.raw(".nh\n.ad l\n")
	r.heading("NAME")
	r.line(name + ` - ` + strings.TrimSuffix(summary, "."))
	return r
}

// end adds what every page ends with.
func (b *Book) end(r *roff, also []string) []byte {
	for _, s := range b.Sections {
		r.heading(s.Heading)
		r.paragraphs(s.Text)
	}
	r.heading("SEE ALSO")
	for i, name := range also {
		comma := ","
		if i == len(also)-1 {
			comma = ""
		}
		title, section, _ := strings.Cut(name, "(")
		r.raw(".BR " + escape(title) + " (" + section + comma + "\n")
	}
	return r.Bytes()
}

// program is the page of the program as a whole.
func (b *Book) program(commands []*kong.Node) Page {
	name := b.App.Name
	r := b.page(name, "1", b.App.Help)
	r.heading("SYNOPSIS")
	r.raw(`.B ` + name + "\n.I COMMAND\n[\\fIFLAGS\\fR]\n")
	r.heading("DESCRIPTION")
	r.paragraphs(b.App.Help + "\n\nEach command has a page of its own, and says what it takes when it is called with --help.")
	r.heading("COMMANDS")
	also := []string{}
	for _, c := range commands {
		r.item(`\fB` + escape(c.Name) + `\fR`)
		r.line(c.Help)
		also = append(also, name+"-"+c.Name+"(1)")
	}
	return Page{name + ".1", b.end(r, append(also, b.SettingsName+"(5)"))}
}

// exampleHeading is the line above the examples in the help of a command.
var exampleHeading = regexp.MustCompile(`(?m)^Examples?:$`)

// command is the page of one command, with those below it.
func (b *Book) command(c *kong.Node, all []*kong.Node) Page {
	name := b.App.Name + "-" + c.Name
	r := b.page(name, "1", c.Help)
	r.heading("SYNOPSIS")
	leaves := commandsOf(c)
	if len(leaves) == 0 {
		leaves = []*kong.Node{c}
	}
	for i, leaf := range leaves {
		if i > 0 {
			r.raw(".br\n")
		}
		r.raw(synopsis(leaf))
	}
	text, examples := c.Detail, ""
	if at := exampleHeading.FindStringIndex(text); at != nil {
		text, examples = text[:at[0]], text[at[1]:]
	}
	r.heading("DESCRIPTION")
	r.paragraphs(strings.TrimSpace(c.Help + "\n\n" + text))
	if leaves[0] != c {
		r.heading("COMMANDS")
		for _, leaf := range leaves {
			r.item(`\fB` + escape(leaf.Name) + `\fR`)
			r.line(leaf.Help)
		}
	}
	r.options(leaves)
	if examples = strings.Trim(examples, "\n"); examples != "" {
		r.heading("EXAMPLES")
		r.paragraphs(examples)
	}
	also := []string{b.App.Name + "(1)"}
	for _, other := range all {
		if other != c {
			also = append(also, b.App.Name+"-"+other.Name+"(1)")
		}
	}
	return Page{name + ".1", b.end(r, append(also, b.SettingsName+"(5)"))}
}

// settings is the page of the configuration file.
func (b *Book) settings() Page {
	r := b.page(b.SettingsName, "5", "the configuration of "+b.App.Name)
	r.heading("DESCRIPTION")
	r.paragraphs("This is a configuration with every key. Keys that have a default stand at it.")
	r.raw(".PP\n")
	r.verbatim(b.Settings)
	return Page{b.SettingsName + ".5", b.end(r, []string{b.App.Name + "(1)", b.App.Name + "-serve(1)", b.App.Name + "-validate(1)"})}
}

// synopsis is the line that shows how a command is called.
func synopsis(n *kong.Node) string {
	var out strings.Builder
	fmt.Fprintf(&out, ".B %s\n", escape(strings.TrimSpace(root(n).Name+" "+n.Path())))
	for _, f := range flagsOf(n) {
		if f.Required {
			fmt.Fprintf(&out, "%s\n", flag(f))
		}
	}
	if slices.ContainsFunc(flagsOf(n), func(f *kong.Flag) bool { return !f.Required }) {
		out.WriteString("[\\fIFLAGS\\fR]\n")
	}
	for _, p := range n.Positional {
		text := `\fI` + escape(strings.ToUpper(p.Name)) + `\fR`
		if p.IsCumulative() {
			text += " ..."
		}
		if !p.Required {
			text = "[" + text + "]"
		}
		out.WriteString(text + "\n")
	}
	return out.String()
}

func root(n *kong.Node) *kong.Node {
	for n.Parent != nil {
		n = n.Parent
	}
	return n
}

// flag is a flag with its value.
func flag(f *kong.Flag) string {
	text := `\fB` + escape("--"+f.Name) + `\fR`
	if f.Short != 0 {
		text = `\fB` + escape("-"+string(f.Short)) + `\fR, ` + text
	}
	if !f.IsBool() && !f.IsCounter() {
		text += `=\fI` + escape(f.FormatPlaceHolder()) + `\fR`
	}
	return text
}

// options lists the arguments and flags of commands. A flag that several of them have is there once.
func (r *roff) options(leaves []*kong.Node) {
	seen := make(map[string]bool)
	begin := func(heading string) func() {
		begun := false
		return func() {
			if !begun {
				r.heading(heading)
				begun = true
			}
		}
	}
	arguments, options := begin("ARGUMENTS"), begin("OPTIONS")
	for _, n := range leaves {
		for _, p := range n.Positional {
			if !seen[p.Name] {
				arguments()
				r.item(`\fI` + escape(strings.ToUpper(p.Name)) + `\fR`)
				r.line(p.Help)
			}
			seen[p.Name] = true
		}
	}
	for _, n := range leaves {
		for _, f := range flagsOf(n) {
			if seen["--"+f.Name] {
				continue
			}
			seen["--"+f.Name] = true
			options()
			r.item(flag(f))
			r.line(f.Help)
			if len(f.Envs) > 0 {
				r.line("The environment may say it as " + strings.Join(f.Envs, " or ") + ".")
			}
		}
	}
}

// roff is a page in the making.
type roff struct{ bytes.Buffer }

func (r *roff) raw(s string) { r.WriteString(s) }

func (r *roff) heading(s string) { r.raw(".SH " + quoted(s) + "\n") }

// item begins one of a list. head is roff already.
func (r *roff) item(head string) { r.raw(".TP\n" + head + "\n") }

// line adds a sentence or more.
func (r *roff) line(s string) { r.raw(escape(s) + "\n") }

// paragraphs adds text as it stands in a help: paragraphs have an empty line between them, and what begins with spaces is
// shown as it is.
func (r *roff) paragraphs(text string) {
	for i, p := range strings.Split(strings.TrimRight(text, "\n "), "\n\n") {
		if i > 0 {
			r.raw(".PP\n")
		}
		if strings.HasPrefix(p, " ") {
			r.verbatim(p)
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(p), "\n") {
			r.line(line)
		}
	}
}

// verbatim adds lines that are not filled. What all of them are indented by is taken off.
func (r *roff) verbatim(text string) {
	lines, margin := strings.Split(strings.TrimRight(text, "\n"), "\n"), len(text)
	for _, line := range lines {
		if line != "" {
			margin = min(margin, len(line)-len(strings.TrimLeft(line, " ")))
		}
	}
	r.raw(".RS 2\n.nf\n")
	for _, line := range lines {
		if line == "" {
			r.raw("\\&\n")
			continue
		}
		r.line(line[margin:])
	}
	r.raw(".fi\n.RE\n")
}

// escape makes text that roff shows as it is.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, "\t", "    ").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// quoted is the argument of a request.
func quoted(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `\(dq`) + `"` }
