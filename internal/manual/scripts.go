package manual

import (
	_ "embed"
	"io"
	"strings"
)

// CompleteCommand is the word by which the scripts ask the program; the words of the command line follow it.
const CompleteCommand = "__complete"

var (
	//go:embed completion.bash
	bash string
	//go:embed completion.zsh
	zsh string
	//go:embed completion.fish
	fish string
)

// Shells are those for which there is a script.
var Shells = []string{"bash", "zsh", "fish"}

// Script returns what has a shell ask the program, and false for a shell that is not known.
func Script(shell string) (string, bool) {
	script, ok := map[string]string{"bash": bash, "zsh": zsh, "fish": fish}[shell]
	return script, ok
}

// Print writes a completion as the scripts read it: a line with its kind, and one for each word, with a tab before its
// help.
func (c Completion) Print(w io.Writer) error {
	out := new(strings.Builder)
	out.WriteString(c.Kind + "\n")
	for _, word := range c.Words {
		help, _, _ := strings.Cut(word.Help, ". ")
		out.WriteString(c.Prefix + oneLine(word.Text) + "\t" + oneLine(strings.TrimSuffix(help, ".")) + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// oneLine takes out what would be read as the end of a word, or obeyed by a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
