package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/manual"
)

// manCommand writes the manual.
type manCommand struct {
	Dir string `placeholder:"DIR" help:"Write a file for each page there. Without it the page of tandem as a whole is printed."`
}

// Help is shown by `tandem man --help`.
func (*manCommand) Help() string {
	return `There is a page for each command, and tandem.yaml(5) for the configuration. They are made from what --help says. Packages bring them along.

Examples:

  tandem man | man -l -
  tandem man --dir /usr/local/share/man`
}

// Run prints or writes the pages.
func (c *manCommand) Run(ctx *kong.Context) error {
	book := manual.Book{
		App: ctx.Model, Version: version(), Date: builtAt(), Settings: config.Sample, SettingsName: "tandem.yaml",
		Sections: []manual.Section{
			{Heading: "EXIT STATUS", Text: "0: done.\n\n1: failed.\n\n2: wrong usage or configuration; the message names the file, the line and the key."},
		},
	}
	pages := book.Pages()
	if c.Dir == "" {
		_, err := os.Stdout.Write(pages[0].Text)
		return err
	}
	for _, p := range pages {
		dir := filepath.Join(c.Dir, "man"+p.Name[len(p.Name)-1:])
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, p.Name), p.Text, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%s in %s\n", count(len(pages), "page"), c.Dir)
	return nil
}

// builtAt is the date of this program: SOURCE_DATE_EPOCH where it is set, as reproducible builds want it, else that of the
// commit that was built, else today.
func builtAt() time.Time {
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(s, 0)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil && s.Key == "vcs.time" {
				return t
			}
		}
	}
	return time.Now()
}
