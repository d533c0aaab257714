package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// table prints rows in columns as wide as they need to be, and no wider together than a terminal is. The texts may be a
// peer's own, so whatever is not plain is escaped.
func table(header string, rows [][]string) {
	width, _ := terminalSize(os.Stdout)
	writeTable(os.Stdout, width, header, rows)
}

// terminalSize returns how many columns and lines fit, or 0 and 0 when f is no terminal.
func terminalSize(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// Bounds of a table in a terminal.
const (
	gap      = 2  // between columns
	leastCol = 16 // to which a column is cut at most, unless its heading is longer
)

// column is one of a table.
type column struct {
	head  string
	at    int // of its cells in a row
	width int
	empty bool // nothing stands in it
	right bool // its cells are numbers
}

// writeTable writes a table that is no wider than width; 0 is any width. Where there is no room, columns in which nothing
// stands are left out, then long cells are cut, then the last columns are left out; what has a value and is not shown is
// named below the table.
func writeTable(w io.Writer, width int, header string, rows [][]string) {
	columns, hidden := fit(columnsOf(header, rows), width)
	line := func(cell func(*column) string) {
		var b strings.Builder
		for i := range columns {
			c := &columns[i]
			text := cut(cell(c), c.width)
			space := strings.Repeat(" ", c.width-utf8.RuneCountInString(text))
			if c.right {
				text = space + text
			} else {
				text += space
			}
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			b.WriteString(text)
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	line(func(c *column) string { return c.head })
	for _, r := range rows {
		line(func(c *column) string { return r[c.at] })
	}
	if len(hidden) > 0 {
		_, _ = fmt.Fprintf(w, "(no room for %s; --json has everything)\n", strings.Join(hidden, ", "))
	}
}

// columnsOf measures the columns of a table, having made its cells plain.
func columnsOf(header string, rows [][]string) []column {
	for _, r := range rows {
		for i := range r {
			r[i] = plain(r[i])
		}
	}
	heads := strings.Fields(header)
	columns := make([]column, len(heads))
	for i, h := range heads {
		c := column{head: h, at: i, width: utf8.RuneCountInString(h), empty: len(rows) > 0}
		numbers := true
		for _, r := range rows {
			c.width = max(c.width, utf8.RuneCountInString(r[i]))
			if r[i] != "-" {
				_, err := strconv.ParseFloat(r[i], 64)
				c.empty, numbers = false, numbers && err == nil
			}
		}
		c.right = numbers && !c.empty && len(rows) > 0
		columns[i] = c
	}
	return columns
}

// fit makes columns fit into a width, and returns those that stay and the names of those that do not although something
// stands in them.
func fit(columns []column, width int) (stay []column, hidden []string) {
	total := gap * (len(columns) - 1)
	for _, c := range columns {
		total += c.width
	}
	if width == 0 || total <= width {
		return columns, nil
	}
	columns = slices.DeleteFunc(columns, func(c column) bool { return c.empty })
	for {
		stay = slices.Clone(columns)
		if squeeze(stay, width) || len(stay) <= 1 {
			return stay, hidden
		}
		last := len(columns) - 1
		hidden, columns = slices.Insert(hidden, 0, columns[last].head), columns[:last]
	}
}

// squeeze makes the widest columns narrower until all fit into width, and reports whether they do.
func squeeze(columns []column, width int) bool {
	total := gap * (len(columns) - 1)
	for _, c := range columns {
		total += c.width
	}
	for ; total > width; total-- {
		var widest *column
		for i := range columns {
			if c := &columns[i]; c.width > max(leastCol, utf8.RuneCountInString(c.head)) && (widest == nil || c.width > widest.width) {
				widest = c
			}
		}
		if widest == nil {
			return false
		}
		widest.width--
	}
	return true
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// maxCell is how much of a text stands in a table.
const maxCell = 60

// plain is a text as it may stand in a terminal.
func plain(s string) string {
	if s == "" {
		return "-"
	}
	if q := strconv.QuoteToGraphic(s); q != `"`+s+`"` {
		s = q
	}
	if r := []rune(s); len(r) > maxCell {
		s = string(r[:maxCell]) + "..."
	}
	return s
}
