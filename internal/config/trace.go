package config

import (
	"bytes"
	"math"
	"net/netip"
	"net/url"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Trace says what is kept of the messages that pass, and where copies of them go.
type Trace struct {
	// Memory bounds the recent messages that are kept, in bytes; 0: none are. Without an admin API none are either.
	Memory int
	// ShowCredentials leaves passwords, keys and answers to challenges in what is kept and handed out.
	ShowCredentials bool
	// HEP says where copies of all messages go.
	HEP HEP
	// OTLP says who is told how requests go.
	OTLP OTLP
}

// OTLP is a collector of OpenTelemetry, which spans are posted to.
type OTLP struct {
	// To is a URL. Empty: there is none.
	To string
	// Ratio is of how many requests one is followed, above 0 and up to 1.
	Ratio float64
}

// HEP is a collector of messages, to which they are sent by HEP version 3 over UDP.
type HEP struct {
	// Collector is its address. Invalid: there is none.
	Collector netip.AddrPort
	// Node is the number by which it knows this proxy.
	Node uint32
	// Name is what else the proxy is called there; empty: nothing.
	Name string
	// Password is shown to it; nil: none.
	Password []byte
}

// hepPort is the usual port of collectors.
const hepPort = 9060

// maxHEPText is the longest name and password, in bytes.
const maxHEPText = 256

// readTrace reads what is kept of messages.
func (v value) readTrace(t *Trace) {
	v.fields([]field{
		{"memory", func(v value) { v.readSize(&t.Memory, 0, 1<<30) }},
		{"credentials", func(v value) {
			word := "hide"
			v.readOneOf(&word, "hide", "show")
			t.ShowCredentials = word == "show"
		}},
		{"hep", func(v value) { v.readHEP(&t.HEP) }},
		{"otlp", func(v value) { v.readOTLP(&t.OTLP) }},
	})
}

// readOTLP reads a collector of spans: its URL, alone or with the ratio.
func (v value) readOTLP(o *OTLP) {
	if v.node.Kind != yaml.MappingNode {
		v.readOTLPURL(o)
		return
	}
	v.fields([]field{
		{"to", func(v value) { v.readOTLPURL(o) }},
		{"ratio", func(v value) {
			if s, ok := v.text(); ok {
				r, err := strconv.ParseFloat(s, 64)
				if err != nil || !(r > 0 && r <= 1) {
					v.problem("%q is not above 0 and up to 1: give the part of the requests that is followed, such as 0.01", s)
					return
				}
				o.Ratio = r
			}
		}},
	})
	if v.r.lines[v.key+".to"] == 0 {
		v.problem("it has no address: add `to: http://127.0.0.1:4318/v1/traces`")
	}
}

func (v value) readOTLPURL(o *OTLP) {
	s, ok := v.text()
	if !ok {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		v.problem("%q is no URL that spans can be posted to: write it as http://127.0.0.1:4318/v1/traces", s)
		return
	}
	o.To = s
}

// readHEP reads a collector: its address, alone or with what else is said to it.
func (v value) readHEP(h *HEP) {
	if v.node.Kind != yaml.MappingNode {
		v.readCollector(h)
		return
	}
	v.fields([]field{
		{"collector", func(v value) { v.readCollector(h) }},
		{"node", func(v value) {
			n := 0
			v.readInt(&n, 0, math.MaxUint32)
			h.Node = uint32(n)
		}},
		{"name", func(v value) {
			if s, ok := v.text(); ok {
				if h.Name = s; len(s) > maxHEPText {
					v.problem("it has %d bytes, and %d are the most", len(s), maxHEPText)
				}
			}
		}},
		{"password_file", func(v value) {
			if data, path, ok := v.readFile(); ok {
				if h.Password = bytes.TrimSpace(data); len(h.Password) == 0 || len(h.Password) > maxHEPText {
					v.problem("%s has %d bytes, and a password has 1 to %d: put it there alone", path, len(h.Password), maxHEPText)
				}
			}
		}},
	})
	if v.r.lines[v.key+".collector"] == 0 {
		v.problem("it has no address: add `collector: 192.0.2.5:%d`", hepPort)
	}
}

func (v value) readCollector(h *HEP) {
	s, ok := v.text()
	if !ok {
		return
	}
	at, ok := v.addrPort(s, hepPort)
	if ok && (at.Addr().IsUnspecified() || at.Port() == 0) {
		v.problem("%s is nobody's address: give that of the collector, such as 192.0.2.5:%d", s, hepPort)
		return
	}
	h.Collector = at
}
