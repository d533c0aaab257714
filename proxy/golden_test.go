package proxy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// secrets are the parts of a forwarded message that differ each time: our branch and our dialog tokens.
var secrets = regexp.MustCompile(`(z9hG4bK[a-z2-7]{26})-[0-9a-f]{16}|;td=[a-z2-7]{26}`)

// TestGolden forwards the requests of testdata and compares all bytes. What is not changed stays as it was, with
// its odd spelling, folding and order.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.request")
	if err != nil || len(files) == 0 {
		t.Fatal("no requests in testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".request"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw := strings.ReplaceAll(string(text), "\n", "\r\n")
			run(t, Config{}, func(b *bench) {
				c := b.inside()
				b.anywhere = "tls:198.51.100.8:5061"
				c.send(raw)
				var out bytes.Buffer
				for _, m := range b.everywhere() {
					out.WriteString(secrets.ReplaceAllStringFunc(m.Raw(), func(s string) string {
						if strings.HasPrefix(s, ";td=") {
							return ";td=TOKEN"
						}
						return "BRANCH"
					}))
				}
				if out.Len() == 0 {
					t.Fatalf("not forwarded: %v", c.got())
				}
				got := strings.ReplaceAll(out.String(), "\r\n", "\n")
				golden := strings.TrimSuffix(file, ".request") + ".forwarded"
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

// TestOnlyWhatMustChangesChanges takes the forwarded bytes apart: without the lines that we add or change, they
// are those that came.
func TestOnlyWhatMustChangesChanges(t *testing.T) {
	body := "v=0\r\n\x00\x01\xff o=- \r\n\r\n\r\nVia: not a header\r\n"
	lines := []string{
		"s:  odd   spacing ", "X-Folded: a\r\n\tb\r\n  c", "suPPorted:100rel ,timer", "Date: not a date", "x: ;;,,;,\"",
		"Content-Disposition: session;handling=optional",
	}
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		raw := c.request("MESSAGE", "sip:bob%20x;a=b@example.com;lr=%41;Q", append(lines, "-Content-Length:")...)
		raw = strings.TrimSuffix(raw, "\r\n") + "l: 30\r\n\r\n" + body
		c.send(raw)
		req := b.at(agent).one("MESSAGE")
		if req.Body() != body[:30] {
			t.Errorf("body %q", req.Body())
		}
		got := req.Raw()
		for _, l := range append(lines, "MESSAGE sip:bob%20x;a=b@example.com;lr=%41;Q SIP/2.0", "l: 30") {
			if !strings.Contains(got, l+"\r\n") {
				t.Errorf("%q was changed in\n%s", l, got)
			}
		}
		kept := func(raw string) (out []string) {
			for _, l := range strings.Split(raw[:strings.Index(raw, "\r\n\r\n")], "\r\n") {
				switch name, _, _ := strings.Cut(l, ":"); name {
				case "Via", "Max-Forwards", "Max-Breadth":
				default:
					out = append(out, l)
				}
			}
			return out
		}
		if a, z := strings.Join(kept(raw), "\n"), strings.Join(kept(got), "\n"); a != z {
			t.Errorf("came\n%s\nwent\n%s", a, z)
		}
	})
}

// TestResponseBytes: a response loses our Via and nothing else.
func TestResponseBytes(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		req := b.at(agent).one("MESSAGE")
		var vias []string
		for v := range req.Values(sip.FieldVia) {
			vias = append(vias, v)
		}
		rest := "f: Alice <sip:alice@example.net>;tag=a1\r\nTo:Bob <sip:bob@example.com> ; tag=b1\r\nCALL-ID: " + req.CallID() +
			"\r\nCSeq:   " + header(req, "CSeq") + "\r\nX:  y\r\n z\r\nl:3\r\n\r\na\x00b"
		b.at(agent).raw("SIP/2.0 299 Any \"text\"\r\nv: " + vias[0] + " , " + vias[1] + "\r\n" + rest)
		got := c.got()
		if want := "SIP/2.0 299 Any \"text\"\r\nv: " + vias[1] + "\r\n" + rest; got[0].Raw() != want {
			t.Errorf("got\n%q\nwant\n%q", got[0].Raw(), want)
		}
	})
}
