package framing

import (
	"os"
	"slices"
	"testing"
)

// FuzzDecoder: any split of a stream gives the same units and the same error as the whole at once.
func FuzzDecoder(f *testing.F) {
	_, streams := attacks(f)
	for _, s := range streams {
		if len(s) < 8<<10 {
			f.Add(s, []byte{1, 2, 50})
		}
	}
	const dir = "../sip/testdata/rfc4475/"
	files, err := os.ReadDir(dir)
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if b, err := os.ReadFile(dir + file.Name()); err == nil {
			f.Add(b, []byte{})
		}
	}
	f.Add([]byte("\r\n\r\n\r\n"+start+"l: 2\r\n\r\nhi\r\n"), []byte{1})
	f.Fuzz(func(t *testing.T, stream, steps []byte) {
		if len(stream) > 64<<10 {
			return
		}
		limits := Limits{StartLine: 100, Header: 1000, Body: 1000}
		whole := Decoder{Limits: limits}
		units, rest, err := decode(&whole, stream, nil)
		var ends []int
		if len(steps) == 0 {
			ends = bytewise(len(stream))
		}
		for at, i := 0, 0; len(steps) > 0; i++ {
			if at += int(steps[i%len(steps)]) + 1; at >= len(stream) {
				break
			}
			ends = append(ends, at)
		}
		split := Decoder{Limits: limits}
		units2, rest2, err2 := decode(&split, stream, ends)
		if !slices.Equal(units, units2) || cause(err) != cause(err2) {
			t.Fatalf("whole: %v %v\nsplit: %v %v", units, err, units2, err2)
		}
		if err == nil && (string(rest) != string(rest2) || whole.InMessage() != split.InMessage() || whole.InBody() != split.InBody()) {
			t.Fatalf("rest %q, %q", rest, rest2)
		}
		total := len(rest)
		for _, u := range units {
			total += len(u.text)
		}
		if total != len(stream) && err == nil {
			t.Fatalf("%d bytes of %d came out", total, len(stream))
		}
	})
}
