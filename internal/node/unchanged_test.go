package node_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// What a proxy has to leave alone (RFC 3261, Section 16.6): everything but the header fields that it is
// there for. The comparison reads text by itself and does not rely on the parser under test.

// field is one header field line with its folds, as it was written.
type field struct{ name, text string }

// longNames has the long form of the compact names that matter here.
var longNames = map[string]string{"v": "via", "l": "content-length"}

// cutFields cuts a message into start line, header field lines and body.
func cutFields(raw string) (start string, fields []field, body string) {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	for _, l := range lines[1:] {
		if n := len(fields); n > 0 && (strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t")) {
			fields[n-1].text += "\r\n" + l
			continue
		}
		name, _, _ := strings.Cut(l, ":")
		name = strings.ToLower(strings.Trim(name, " \t"))
		if long := longNames[name]; long != "" {
			name = long
		}
		fields = append(fields, field{name, l})
	}
	return lines[0], fields, body
}

// value is the value of a line without folds.
func (f field) value() string {
	_, v, _ := strings.Cut(f.text, ":")
	return strings.Join(strings.Fields(v), " ")
}

// unfolded puts Content-Length on one line.
func unfolded(fields []field) []field {
	out := slices.Clone(fields)
	for i, f := range out {
		if name, _, ok := strings.Cut(f.text, ":"); ok && f.name == "content-length" && strings.Contains(f.text, "\r\n") {
			out[i].text = strings.TrimRight(name, " \t") + ": " + f.value()
		}
	}
	return out
}

// take takes the lines of a name out of the list.
func take(fields []field, name string) (taken, rest []field) {
	for _, f := range fields {
		if f.name == name {
			taken = append(taken, f)
		} else {
			rest = append(rest, f)
		}
	}
	return taken, rest
}

// untrusted are the header field names that are taken out of what strangers send.
var untrusted = []string{
	"p-asserted-identity", "p-preferred-identity", "p-asserted-service", "p-preferred-service", "remote-party-id",
	"p-charging-vector", "p-charging-function-addresses", "p-visited-network-id", "p-served-user", "p-user-database",
	"p-profile-key", "p-private-network-indication", "x-trusted",
}

// notedSource is what the proxy writes into the topmost Via that it received.
var notedSource = regexp.MustCompile(`(?i);\s*(received|rport)(\s*=\s*[^;,\s]*)?`)

// changes lists what is different between a request and what the proxy sent on, apart from what
// RFC 3261, Section 16.6 has it change. self is how the proxy names itself.
func changes(sent, got string, self []string) (out []string) {
	differs := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	sentStart, want, sentBody := cutFields(sent)
	gotStart, have, gotBody := cutFields(got)

	// The body is as long as Content-Length says; over UDP what follows is dropped.
	lengths, _ := take(want, "content-length")
	if len(lengths) == 1 {
		n, _ := strconv.Atoi(lengths[0].value())
		sentBody = sentBody[:min(n, len(sentBody))]
		want, have = unfolded(want), unfolded(have) // it may be brought onto one line
	} else {
		var added []field
		if added, have = take(have, "content-length"); len(added) != 1 || added[0].value() != strconv.Itoa(len(sentBody)) {
			differs("Content-Length added: %v", added)
		}
	}
	if gotBody != sentBody {
		differs("body: %q, was %q", gotBody, sentBody)
	}

	vias, have := take(have, "via")
	wantVias, want := take(want, "via")
	switch {
	case len(vias) != len(wantVias)+1:
		differs("%d Via lines, were %d", len(vias), len(wantVias))
	case !names(vias[0].text, self):
		differs("the topmost Via is %q", vias[0].text)
	default:
		vias, wantVias = vias[1:], slices.Clone(wantVias)
		vias[0].text = notedSource.ReplaceAllString(vias[0].text, "")
		wantVias[0].text = notedSource.ReplaceAllString(wantVias[0].text, "")
		if !slices.Equal(vias, wantVias) {
			differs("Via: %q, was %q", vias, wantVias)
		}
	}

	hops, want := take(want, "max-forwards")
	left, have := take(have, "max-forwards")
	n := 71
	if len(hops) == 1 {
		n, _ = strconv.Atoi(hops[0].value())
	}
	if len(left) != 1 || left[0].value() != strconv.Itoa(n-1) {
		differs("Max-Forwards: %q, was %q", left, hops)
	}
	_, want = take(want, "max-breadth")
	_, have = take(have, "max-breadth")
	for len(have) > 0 {
		i := slices.IndexFunc(have, func(f field) bool { return f.name == "record-route" && names(f.text, self) })
		if i < 0 {
			break
		}
		have = slices.Delete(have, i, i+1)
	}

	// A Route of the proxy's own is taken away, and a strict router has its way (RFC 3261, Section 16.12.1.2).
	wantRoutes, rest := take(want, "route")
	haveRoutes, haveRest := take(have, "route")
	own := slices.ContainsFunc(wantRoutes, func(f field) bool { return names(f.text, self) })
	strict := len(wantRoutes) > 0 && !strings.Contains(wantRoutes[0].text, ";lr")
	if own || strict {
		want, have = rest, haveRest
		for _, r := range haveRoutes {
			if names(r.text, self) {
				differs("an own Route was left: %q", r.text)
			}
		}
	}
	if gotStart != strings.Replace(sentStart, " sip/2.0", " SIP/2.0", 1) && !strict {
		differs("start line %q, was %q", gotStart, sentStart)
	}
	want = slices.DeleteFunc(want, func(f field) bool { return slices.Contains(untrusted, f.name) })
	if !slices.Equal(have, want) {
		differs("header field lines\n%q\nwere\n%q", have, want)
	}
	return out
}

// names reports whether a text names one of the hosts.
func names(text string, hosts []string) bool {
	return slices.ContainsFunc(hosts, func(h string) bool { return strings.Contains(text, h) })
}

// requestsOf cuts a stream into its requests by their Content-Length, as far as that goes.
func requestsOf(stream string) (out []string) {
	for {
		stream = strings.TrimLeft(stream, "\r\n")
		head, rest, ok := strings.Cut(stream, "\r\n\r\n")
		if !ok {
			return out
		}
		_, fields, _ := cutFields(stream)
		lengths, _ := take(fields, "content-length")
		n := 0
		if len(lengths) == 1 {
			n, _ = strconv.Atoi(lengths[0].value())
		}
		n = len(head) + 4 + max(0, min(n, len(rest)))
		out, stream = append(out, stream[:n]), stream[n:]
	}
}

// original finds the request that a forwarded one was, by Call-ID and CSeq.
func original(requests []string, got *sip.Message) (string, bool) {
	id, _ := got.Value(sip.FieldCSeq)
	for _, raw := range requests {
		_, fields, _ := cutFields(raw)
		same := 0
		for _, f := range fields {
			switch f.name {
			case "call-id", "i":
				same += map[bool]int{true: 1}[f.value() == got.CallID()]
			case "cseq":
				same += map[bool]int{true: 1}[f.value() == strings.Join(strings.Fields(id), " ")]
			}
		}
		if same == 2 {
			return raw, true
		}
	}
	return "", false
}
