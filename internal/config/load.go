package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile is the largest settings file that is read, in bytes.
const maxFile = 16 << 20

// Load reads and checks the configuration file at path. Relative paths in it are relative to the
// directory that it lies in. What is wrong with it is reported as an *Error.
func Load(path string) (*Config, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, &Error{[]Problem{{File: path, Text: "cannot read it: " + err.Error() + ": give the path of a configuration file"}}}
	}
	return Parse(data, filepath.Dir(path), path)
}

// Parse checks the configuration in data. Relative paths in it are relative to dir; problems are
// reported under name, as an *Error.
func Parse(data []byte, dir, name string) (*Config, error) {
	r := &reader{file: name, dir: dir, now: time.Now(), lines: make(map[string]int)}
	cfg := defaults()
	cfg.File = name
	if root, ok := r.document(data); ok {
		r.config(root, cfg)
	}
	if len(r.problems) > 0 {
		sortByLine(r.problems)
		return nil, &Error{r.problems}
	}
	sortByLine(r.warnings)
	cfg.Warnings, cfg.lines = r.warnings, r.lines
	return cfg, nil
}

// config reads the whole document: first each key by itself, then what they mean together.
func (r *reader) config(root value, cfg *Config) {
	root.fields([]field{
		{"listen", func(v value) { v.readListen(cfg) }},
		{"admin", func(v value) { v.readAdmin(cfg) }},
		{"dns", func(v value) { v.readDNS(cfg) }},
		{"trust", func(v value) { v.readTrust(&cfg.Trust) }},
		{"domains", func(v value) { v.readDomains(cfg) }},
		{"access", func(v value) { v.readAccess(&cfg.Access) }},
		{"peers", func(v value) { v.readPeers(cfg) }},
		{"routes", func(v value) { v.readRoutes(cfg) }},
		{"sctp", func(v value) { v.readSCTP(&cfg.SCTP) }},
		{"log", func(v value) { v.readLog(&cfg.Log) }},
		{"limits", func(v value) { v.readLimits(&cfg.Limits) }},
		{"timers", func(v value) { v.readTimers(&cfg.Timers) }},
		{"memory", func(v value) { v.readMemory(&cfg.Memory) }},
		{"trace", func(v value) { v.readTrace(&cfg.Trace) }},
	})
	r.checkListen(cfg)
	r.checkSCTP(cfg)
	r.checkAdminSocket(cfg)
	r.checkDomains(cfg)
	r.checkPeers(cfg)
	r.checkRoutes(cfg)
}

// document parses the YAML and returns its root, which is a mapping.
func (r *reader) document(data []byte) (value, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && (len(doc.Content) == 0 || doc.Content[0].Tag == "!!null") {
		r.problem(0, "", "it is empty: give at least one address to listen on, such as `listen: [udp://127.0.0.1:5060]`")
		return value{}, false
	}
	if err != nil {
		r.syntax(err)
		return value{}, false
	}
	if err := dec.Decode(&more); err == nil {
		r.problem(more.Line, "", "a second document begins here: give one document a file")
		return value{}, false
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return value{}, false
	}
	root := value{r: r, node: doc.Content[0]}
	if root.node.Kind != yaml.MappingNode {
		r.problem(root.node.Line, "", "it is not a list of keys with values: begin with `listen:`")
		return value{}, false
	}
	return root, true
}

// yamlLine finds the line number in an error of the YAML parser.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax reports an error of the YAML parser.
func (r *reader) syntax(err error) {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	line := 0
	if m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	r.problem(line, "", "not well-formed YAML: %s: see to the indentation and the quotes around here", strings.TrimSpace(text))
}

// sortByLine puts problems into the order of the file, those of one line in the order they were found.
func sortByLine(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int { return a.Line - b.Line })
}

// readFile reads a regular file of at most limit bytes. Its errors do not repeat the path.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case info.Size() > limit:
		return nil, errors.New("it is larger than " + strconv.FormatInt(limit>>20, 10) + " MiB")
	}
	data, err := os.ReadFile(path)
	return data, withoutPath(err)
}

// withoutPath takes the operation and the path out of an error of package os.
func withoutPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
