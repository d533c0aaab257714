package manual

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Word is one that may stand next on a command line.
type Word struct {
	Text string
	Help string // what it does or is, in a line; may be empty
}

// Kinds of values that are not listed but looked for by the shell. They are in a tag `complete:"KIND"`, or follow from
// the placeholder of a flag.
const (
	Files       = "file"
	Directories = "directory"
)

// Request is a command line that is to go on. What is known of it is for whoever lists words that are alive.
type Request struct {
	Kind  string            // of the value that is wanted: that of a tag `complete:"KIND"`
	Path  string            // of the command, such as "connections close"
	Flags map[string]string // that were given with a value
	Word  string            // what has been written of the value
}

// Completion is what may stand next.
type Completion struct {
	Words []Word
	// Kind is Files or Directories where the shell itself knows best; else empty.
	Kind string
	// Prefix is what stands before each of the Words and is not part of it, such as "--admin=".
	Prefix string
}

// Complete says what may stand in the place of the last of the words, which may be empty. The words are those of the
// command line without the program's name. list is asked for the values of a kind; it may return nil.
func Complete(app *kong.Application, words []string, list func(Request) []Word) Completion {
	if len(words) == 0 {
		words = []string{""}
	}
	before, word := words[:len(words)-1], words[len(words)-1]
	s := scan{node: app.Node, flags: make(map[string]string), list: list}
	for _, w := range before {
		s.step(w)
	}
	var c Completion
	switch name, value, hasValue := strings.Cut(word, "="); {
	case s.wants != nil:
		c = s.value(s.wants.Value, word)
	case s.ended:
		c = s.positional(word)
	case strings.HasPrefix(word, "--") && hasValue:
		if f := s.flag(name[2:]); f != nil {
			c = s.value(f.Value, value)
			c.Prefix = name + "="
		}
	case strings.HasPrefix(word, "-"):
		c.Words = s.flagWords()
	default:
		c = s.positional(word)
		if s.place == 0 {
			for _, n := range commandsOf(s.node) {
				c.Words = append(c.Words, Word{n.Name, n.Help})
			}
		}
	}
	at := word[len(c.Prefix):]
	c.Words = slices.DeleteFunc(c.Words, func(w Word) bool { return !strings.HasPrefix(w.Text, at) })
	return c
}

// scan walks along a command line.
type scan struct {
	node  *kong.Node
	wants *kong.Flag // whose value comes next
	place int        // of the next positional argument
	ended bool       // by --: what follows is no flag
	flags map[string]string
	list  func(Request) []Word
}

// step takes one whole word.
func (s *scan) step(w string) {
	switch {
	case s.wants != nil:
		s.flags[s.wants.Name], s.wants = w, nil
	case s.ended:
		s.place++
	case w == "--":
		s.ended = true
	case strings.HasPrefix(w, "--"):
		name, value, hasValue := strings.Cut(w[2:], "=")
		if f := s.flag(name); f != nil && hasValue {
			s.flags[f.Name] = value
		} else if f != nil && !f.IsBool() && !f.IsCounter() {
			s.wants = f
		}
	case strings.HasPrefix(w, "-") && len(w) == 2:
		i := slices.IndexFunc(flagsOf(s.node), func(f *kong.Flag) bool { return f.Short == rune(w[1]) })
		if i >= 0 && !flagsOf(s.node)[i].IsBool() {
			s.wants = flagsOf(s.node)[i]
		}
	case strings.HasPrefix(w, "-"):
	default:
		if i := slices.IndexFunc(s.node.Children, func(n *kong.Node) bool { return n.Name == w }); i >= 0 && s.place == 0 {
			s.node = s.node.Children[i]
			return
		}
		s.place++
	}
}

// flag finds a flag by its long name.
func (s *scan) flag(name string) *kong.Flag {
	for _, f := range flagsOf(s.node) {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// flagWords are the flags. Those that take a value are written with the sign that it follows.
func (s *scan) flagWords() (words []Word) {
	for _, f := range flagsOf(s.node) {
		if _, given := s.flags[f.Name]; given && !f.IsSlice() {
			continue
		}
		text := "--" + f.Name
		if !f.IsBool() && !f.IsCounter() {
			text += "="
		}
		words = append(words, Word{text, f.Help})
	}
	return words
}

// positional says what may stand for the next argument.
func (s *scan) positional(word string) Completion {
	node := s.node
	if len(node.Positional) == 0 && node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	args := node.Positional
	switch {
	case s.place < len(args):
		return s.value(args[s.place], word)
	case len(args) > 0 && args[len(args)-1].IsCumulative():
		return s.value(args[len(args)-1], word)
	}
	return Completion{}
}

// value says what a value may be.
func (s *scan) value(v *kong.Value, word string) Completion {
	if v.Enum != "" {
		var c Completion
		for _, w := range v.EnumSlice() {
			c.Words = append(c.Words, Word{Text: w})
		}
		return c
	}
	kind := v.Tag.Get("complete")
	if kind == "" && v.Flag != nil {
		switch v.Flag.PlaceHolder {
		case "FILE", "FILE|DIR":
			kind = Files
		case "DIR":
			kind = Directories
		}
	}
	switch {
	case kind == Files || kind == Directories:
		return Completion{Kind: kind}
	case kind == "" || s.list == nil:
		return Completion{}
	}
	return Completion{Words: s.list(Request{Kind: kind, Path: s.node.Path(), Flags: s.flags, Word: word})}
}
