package sip

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// verdict is what the corpora say about a message. They speak of a whole proxy; this room answers
// for syntax only.
type verdict struct {
	Verdict string `json:"verdict"`
	Codes   []int  `json:"codes"`
}

// judge parses and validates as a datagram.
func judge(raw string) (*Message, error) {
	m, err := Parse(raw)
	if err == nil {
		err = m.Validate()
	}
	return m, err
}

func readCorpus(t testing.TB, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimSuffix(f.Name(), ".dat"), ".bin")
		all[name] = string(b)
	}
	return all
}

func readJSON(t testing.TB, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func exceptions(t testing.TB) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if name, reason, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			all[name] = strings.TrimSpace(reason)
		}
	}
	return all
}

func TestRFC4475(t *testing.T) {
	var expected map[string]verdict
	readJSON(t, "testdata/rfc4475/expected.json", &expected)
	// What is dropped is a response without a transaction, or one that cannot be read.
	dropped := map[string]bool{"unreason": true, "noreason": true, "bcast": true, "scalarlg": false, "bigcode": false}
	for name, raw := range readCorpus(t, "testdata/rfc4475") {
		t.Run(name, func(t *testing.T) {
			m, err := judge(raw)
			want := expected[name]
			switch want.Verdict {
			case "":
				t.Fatal("no verdict in expected.json")
			case "forward":
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
			case "drop":
				if (err == nil) != dropped[name] {
					t.Fatalf("error %v", err)
				}
			case "reject":
				fails := slices.Contains(want.Codes, 400) || slices.Contains(want.Codes, 505)
				if (err != nil) != fails {
					t.Fatalf("error %v, rejected with one of %v", err, want.Codes)
				}
				if fails && errors.Is(err, ErrVersion) != slices.Contains(want.Codes, 505) {
					t.Fatalf("error %v, rejected with one of %v", err, want.Codes)
				}
			}
			checkWritten(t, m, err)
		})
	}
}

func TestRFC5118(t *testing.T) {
	var expected map[string]verdict
	readJSON(t, "testdata/rfc5118/expected.json", &expected)
	excepted := exceptions(t)
	for name, raw := range readCorpus(t, "testdata/rfc5118") {
		t.Run(name, func(t *testing.T) {
			raw = strings.ReplaceAll(raw, "\n", "\r\n")
			switch reason := excepted[name]; {
			case strings.HasPrefix(reason, "ends without"):
				raw += "\r\n"
			case strings.HasPrefix(reason, "Content-Length"):
				_, body, _ := strings.Cut(raw, "\r\n\r\n")
				_, tail, _ := strings.Cut(raw, "Content-Length: ")
				old, _, _ := strings.Cut(tail, "\r\n")
				raw = strings.Replace(raw, "Content-Length: "+old, "Content-Length: "+strconv.Itoa(len(body)), 1)
			}
			m, err := judge(raw)
			switch want := expected[name]; {
			case want.Verdict == "forward" && err != nil:
				t.Fatalf("refused: %v", err)
			case want.Verdict == "reject" && err == nil:
				t.Fatal("passed")
			}
			checkWritten(t, m, err)
		})
	}
}

// attack is one entry of the hostile streams.
type attack struct {
	ID     string `json:"id"`
	File   string `json:"file"`
	Expect struct {
		Status []int    `json:"status"`
		Fwd    []string `json:"fwd"`
		Never  []string `json:"never"`
	} `json:"expect"`
}

// TestOwnAttacks takes each hostile stream as one datagram. What must be answered with a 400 and
// nothing else must fail here, what must be forwarded must pass.
func TestOwnAttacks(t *testing.T) {
	var cases []attack
	const dir = "../framing/testdata/own-attacks"
	readJSON(t, dir+"/cases.json", &cases)
	files := readCorpus(t, dir)
	excepted := exceptions(t)
	for _, c := range cases {
		raw, ok := files[strings.TrimSuffix(c.File, ".bin")]
		if !ok {
			continue // made in a test of its own, because of its size
		}
		t.Run(c.ID, func(t *testing.T) {
			m, err := judge(raw)
			syntactic := len(c.Expect.Status) > 0
			for _, s := range c.Expect.Status {
				syntactic = syntactic && slices.Contains([]int{400, 405, 413, 414, 431, 513}, s)
			}
			switch {
			case len(c.Expect.Status) == 0 && len(c.Expect.Fwd) > 0 && err != nil:
				t.Fatalf("refused: %v", err)
			case syntactic && len(c.Expect.Fwd) == 0 && err == nil && excepted[c.ID] == "":
				t.Fatal("passed")
			}
			checkWritten(t, m, err)
			if m != nil && err != nil {
				out := string(AppendResponse(nil, m, 400, "", "x"))
				for _, never := range c.Expect.Never {
					if strings.Contains(out, never) {
						t.Errorf("the answer holds %q", never)
					}
				}
			}
		})
	}
}

// checkWritten checks what holds for every message: unchanged it is written byte for byte, and it can
// be answered however broken it is.
func checkWritten(t testing.TB, m *Message, err error) {
	t.Helper()
	if m == nil {
		return
	}
	if err == nil {
		e := m.Edit()
		out := string(e.AppendTo(nil))
		if m.Count(FieldContentLength) == 1 && !m.odd && !foldedLength(m) && out != m.Raw() {
			t.Errorf("written differently:\n%q\n%q", out, m.Raw())
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("written message does not parse: %v", err)
		}
		if err := again.Validate(); err != nil {
			t.Fatalf("written message is not valid: %v", err)
		}
		if again.Body() != m.Body() || again.count < m.count {
			t.Errorf("written message lost something")
		}
	}
	if m.IsRequest() {
		checkAnswer(t, m)
	}
}

// foldedLength says whether Content-Length is folded, so that it is mended.
func foldedLength(m *Message) bool {
	l := m.line(m.firstLine(FieldContentLength))
	return strings.Contains(m.Raw()[l.start:m.next(l)-2], "\n")
}

// checkAnswer checks that the answer to a message, whole or partial, is one clean response.
func checkAnswer(t testing.TB, m *Message) {
	t.Helper()
	out := string(AppendResponse(nil, m, 400, "", "totag"))
	r, err := Parse(out)
	if err != nil {
		// Control characters that the request had are copied with the line they stand in, and a line
		// that was too long stays so; nothing else may be wrong.
		if !strings.Contains(err.Error(), "control character") && !errors.Is(err, ErrTooLong) {
			t.Fatalf("answer does not parse: %v\n%q", err, out)
		}
	}
	if r == nil || r.StatusCode() != 400 || r.Count(FieldVia) != m.Count(FieldVia) || r.Body() != "" {
		t.Fatalf("bad answer %q", out)
	}
	for _, f := range []Field{FieldFrom, FieldTo, FieldCallID, FieldCSeq} {
		if r.Count(f) != min(1, m.Count(f)) {
			t.Errorf("answer has %d of %v", r.Count(f), f)
		}
	}
}
