package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader walks one document and collects what is wrong with it.
type reader struct {
	file, dir string
	now       time.Time
	lines     map[string]int // where each key that was read stands
	problems  []Problem
	warnings  []Problem
}

func (r *reader) problem(line int, key, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, line, key, fmt.Sprintf(format, args...)})
}

// problemAt reports a problem with a key that was read before, or would stand below one that was.
func (r *reader) problemAt(key, format string, args ...any) {
	r.problem(r.line(key), key, format, args...)
}

func (r *reader) warnAt(key, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{r.file, r.line(key), key, fmt.Sprintf(format, args...)})
}

// line returns where key stands, or else the nearest key above it that the file has.
func (r *reader) line(key string) int { return nearest(r.lines, key) }

func nearest(lines map[string]int, key string) int {
	for key != "" {
		if n, ok := lines[key]; ok {
			return n
		}
		key = key[:max(strings.LastIndexByte(key, '.'), strings.LastIndexByte(key, '['), 0)]
	}
	return 1
}

// value is one place in the document.
type value struct {
	r    *reader
	node *yaml.Node
	key  string // the path to here
}

func (v value) problem(format string, args ...any) {
	v.r.problem(v.node.Line, v.key, format, args...)
}

// child makes the value below v, seen through any YAML alias.
func (v value) child(node *yaml.Node, key string, line int) value {
	v.r.lines[key] = line
	for range 10 { // an alias of an alias ... does not go on for ever
		if node.Kind != yaml.AliasNode || node.Alias == nil {
			break
		}
		node = node.Alias
	}
	return value{v.r, node, key}
}

func (v value) isNull() bool { return v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null" }

// field is a key that a mapping may have, and what reads its value.
type field struct {
	name string
	read func(value)
}

// fields reads a mapping: every known key by its reader, every other is a problem. A mapping without
// anything in it (as when all its keys are commented out) is fine.
func (v value) fields(known []field) {
	if v.isNull() {
		return
	}
	if v.node.Kind != yaml.MappingNode {
		v.problem("expected keys with values (%s)", names(known))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k, node := v.node.Content[i], v.node.Content[i+1]
		path := k.Value
		if v.key != "" {
			path = v.key + "." + k.Value
		}
		at := slices.IndexFunc(known, func(f field) bool { return f.name == k.Value })
		switch first, twice := seen[k.Value]; {
		case k.Kind != yaml.ScalarNode || at < 0:
			v.r.problem(k.Line, path, "unknown key: %s", suggestion(k.Value, known))
		case twice:
			v.r.problem(k.Line, path, "the key stands in line %d already: take one of the two out", first)
		default:
			seen[k.Value] = k.Line
			known[at].read(v.child(node, path, k.Line))
		}
	}
}

// items returns the values of a list; none when it is empty or not a list, which is reported.
func (v value) items() []value {
	if v.isNull() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.problem("expected a list: write it in brackets, or one item a line after `- `")
		return nil
	}
	list := make([]value, len(v.node.Content))
	for i, node := range v.node.Content {
		list[i] = v.child(node, fmt.Sprintf("%s[%d]", v.key, i), node.Line)
	}
	return list
}

// text returns a scalar that is not empty.
func (v value) text() (string, bool) {
	if v.node.Kind != yaml.ScalarNode {
		v.problem("expected one value, not a list or keys")
		return "", false
	}
	if v.isNull() || v.node.Value == "" {
		v.problem("it has no value: give one, or leave the key out")
		return "", false
	}
	return v.node.Value, true
}

// texts returns the scalars of a list, each with its place.
func (v value) texts() (list []string, at []value) {
	for _, item := range v.items() {
		if s, ok := item.text(); ok {
			list, at = append(list, s), append(at, item)
		}
	}
	return list, at
}

func (v value) readBool(to *bool) {
	s, ok := v.text()
	if !ok {
		return
	}
	if v.node.Tag != "!!bool" {
		v.problem("%q is neither true nor false", s)
		return
	}
	*to = strings.EqualFold(s, "true")
}

// readInt reads a whole number from low to high.
func (v value) readInt(to *int, low, high int) {
	if s, ok := v.text(); ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			v.problem("%q is not a whole number from %d to %d", s, low, high)
			return
		}
		*to = n
	}
}

// readSize reads a number of bytes from low to high, with KiB, MiB or GiB behind it or nothing.
func (v value) readSize(to *int, low, high int) {
	s, ok := v.text()
	if !ok {
		return
	}
	digits, unit := strings.TrimSpace(s), 1
	for suffix, n := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if d, found := strings.CutSuffix(digits, suffix); found {
			digits, unit = strings.TrimSpace(d), n
			break
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > high/unit || n*unit < low {
		v.problem("%q is not a size from %s to %s: write bytes, or a number with KiB, MiB or GiB", s, sizeText(low), sizeText(high))
		return
	}
	*to = n * unit
}

func sizeText(n int) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return strconv.Itoa(n>>30) + "GiB"
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n)
}

// readDuration reads a time span from low to high.
func (v value) readDuration(to *time.Duration, low, high time.Duration) {
	if s, ok := v.text(); ok {
		d, err := time.ParseDuration(s)
		if err != nil || d < low || d > high {
			v.problem("%q is not a time from %v to %v: write a number with its unit, such as 500ms or 5s", s, low, high)
			return
		}
		*to = d
	}
}

// readOneOf reads one of the given words.
func (v value) readOneOf(to *string, words ...string) {
	if s, ok := v.text(); ok {
		if !slices.Contains(words, s) {
			v.problem("%q is unknown: write %s", s, strings.Join(words, " or "))
			return
		}
		*to = s
	}
}

// readFile reads the file that the value names. path is what it is called in problems.
func (v value) readFile() (data []byte, path string, ok bool) {
	path, ok = v.text()
	if !ok {
		return nil, "", false
	}
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(v.r.dir, full)
	}
	data, err := readFile(full, 64<<20)
	if err != nil {
		v.problem("cannot read %s: %v: give the path of the file (relative paths start at %s)", path, err, v.r.dir)
		return nil, path, false
	}
	return data, path, true
}

// names lists the keys of a mapping for a message.
func names(known []field) string {
	list := make([]string, len(known))
	for i, f := range known {
		list[i] = f.name
	}
	return strings.Join(list, ", ")
}

// suggestion says what to write instead of an unknown key.
func suggestion(wrong string, known []field) string {
	best, distance := "", 3
	for _, f := range known {
		if d := editDistance(wrong, f.name); d < distance && d < len(f.name) {
			best, distance = f.name, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "take it out; known here are " + names(known)
}

// editDistance counts the letters to insert, remove or replace that make b of a.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
