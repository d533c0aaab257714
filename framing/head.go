package framing

import "bytes"

// head copies what can be used of a broken header section to answer its sender: the start line and
// complete lines up to the empty line, the end of buf or limit, with their line ends mended. A line
// with a CR or NUL inside is left out with its folding. The result ends in an empty line; it is nil
// when there is not even a start line.
func head(buf []byte, limit int) []byte {
	if len(buf) > limit {
		buf = buf[:limit]
	}
	var out []byte
	keep := true
	for first := true; ; first = false {
		i := bytes.IndexByte(buf, '\n')
		if i < 0 {
			break
		}
		line := bytes.TrimSuffix(buf[:i], []byte("\r"))
		buf = buf[i+1:]
		if len(line) == 0 {
			break
		}
		torn := bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0
		switch folded := line[0] == ' ' || line[0] == '\t'; {
		case first && (torn || !requestLine(line) && !statusLine(line)):
			return nil
		case torn:
			keep = false
		case !folded:
			keep = true
		}
		if keep {
			out = append(out, line...)
			out = append(out, "\r\n"...)
		}
	}
	if out == nil {
		return nil
	}
	return append(out, "\r\n"...)
}
