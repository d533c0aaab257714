package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite openapi.json")

// TestDescription: the description that is served is that of the routes.
func TestDescription(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	if err := e.Encode(describe((&Server{}).routesForDescription(t))); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(description, want.Bytes()) {
		t.Error("openapi.json is not what the routes are: run the tests of this room with -update")
	}
}

// routesForDescription are the routes of a server that serves nothing.
func (*Server) routesForDescription(t testing.TB) []route { return newRig(t, plainYAML).srv.routes }

// TestAnswersMatchDescription asks for everything that can be asked, and holds the answers against the description.
func TestAnswersMatchDescription(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var doc object
	if err := json.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	paths := doc["paths"].(object)
	seen := 0
	for path, operations := range paths {
		get, ok := operations.(object)["get"].(object)
		if !ok || strings.HasPrefix(path, "/debug/") || path == "/v1/openapi.json" {
			continue
		}
		asked := strings.ReplaceAll(path, "{id}", fmt.Sprint(s.dialed(t)))
		media := get["responses"].(object)["200"].(object)["content"].(object)
		body, ok := media["application/json"].(object)
		if !ok {
			continue
		}
		switch path {
		case "/v1/explain":
			asked += "?uri=sip:127.0.0.1:5060"
		case "/v1/trace":
			asked += "?raw=true&call_id=" + url.QueryEscape(s.node.Trace().Calls()[0].CallID)
		}
		a := s.get(asked, nil)
		var v any
		if err := json.Unmarshal(a.body, &v); err != nil {
			t.Fatal(err)
		}
		for _, text := range mismatches(doc, body["schema"].(object), v, path) {
			t.Error(text)
		}
		seen++
	}
	if seen < 11 {
		t.Errorf("%d paths were looked at", seen)
	}
	refusal := s.do(http.DefaultClient, "GET", "/nothing", "")
	var v any
	if err := json.Unmarshal(refusal.body, &v); err != nil {
		t.Fatal(err)
	}
	for _, text := range mismatches(doc, object{"$ref": "#/components/schemas/Failure"}, v, "refusal") {
		t.Error(text)
	}
}

// mismatches says where a value is not as a schema has it.
func mismatches(doc, schema object, v any, at string) (list []string) {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		schema = doc["components"].(object)["schemas"].(object)[name].(object)
	}
	bad := func(format string, args ...any) { list = append(list, at+": "+fmt.Sprintf(format, args...)) }
	switch schema["type"] {
	case "object":
		o, ok := v.(object)
		if !ok {
			bad("%v is no object", v)
			return list
		}
		properties := schema["properties"].(object)
		for _, name := range schema["required"].([]any) {
			if _, there := o[name.(string)]; !there {
				bad("%s is missing", name)
			}
		}
		for name, value := range o {
			p, known := properties[name].(object)
			if !known {
				bad("%s is not described", name)
				continue
			}
			list = append(list, mismatches(doc, p, value, at+"."+name)...)
		}
	case "array":
		items, ok := v.([]any)
		if !ok {
			bad("%v is no list", v)
		}
		for _, item := range items {
			list = append(list, mismatches(doc, schema["items"].(object), item, at+"[]")...)
		}
	case "string":
		text, ok := v.(string)
		if !ok {
			bad("%v is no text", v)
		}
		if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, v) {
			bad("%v is none of %v", v, words)
		}
		if _, err := time.Parse(time.RFC3339, text); err != nil && schema["format"] == "date-time" {
			bad("%v", err)
		}
	case "integer", "number":
		n, ok := v.(float64)
		if !ok || schema["type"] == "integer" && n != float64(int64(n)) {
			bad("%v is no %s", v, schema["type"])
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			bad("%v is no truth value", v)
		}
	default:
		bad("%v is no type that is described here", schema["type"])
	}
	return list
}

// snake is how fields are called.
var snake = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// TestFieldNames: names are in snake_case and every field is described.
func TestFieldNames(t *testing.T) {
	t.Parallel()
	var doc object
	if err := json.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	for name, schema := range doc["components"].(object)["schemas"].(object) {
		for field, p := range schema.(object)["properties"].(object) {
			if !snake.MatchString(field) {
				t.Errorf("%s.%s is not in snake_case", name, field)
			}
			if text, _ := p.(object)["description"].(string); text == "" {
				t.Errorf("%s.%s is not described", name, field)
			}
		}
	}
}
