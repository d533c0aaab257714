// Package manual makes manual pages and shell completion out of the model of a command line.
//
// Both read the same struct tags as --help does, so neither can say what the program does not. man.go writes pages for
// man(7). complete.go says what may stand next on a command line, and scripts.go has what asks it, for three shells.
package manual

import (
	"slices"

	"github.com/alecthomas/kong"
)

// flagsOf returns the flags that may follow a command, its own last, without those that are hidden. The flags of a
// command that is meant when none is named are among them.
func flagsOf(n *kong.Node) (flags []*kong.Flag) {
	for _, group := range n.AllFlags(true) {
		flags = append(flags, group...)
	}
	if n.DefaultCmd != nil {
		for _, f := range n.DefaultCmd.Flags {
			if !f.Hidden {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

// commandsOf returns the commands below a node that are shown.
func commandsOf(n *kong.Node) []*kong.Node {
	return slices.DeleteFunc(slices.Clone(n.Children), func(c *kong.Node) bool { return c.Hidden })
}
