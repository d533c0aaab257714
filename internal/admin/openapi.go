package admin

import (
	_ "embed"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// description is what describe makes of the routes; a test holds it against them, and -update writes it.
//
//go:embed openapi.json
var description []byte

func descriptionRoute() route {
	return route{
		method: http.MethodGet, path: "/v1/openapi.json", summary: "This description, in the form of OpenAPI 3.1.", media: "application/json",
		serve: func(w http.ResponseWriter, _ *http.Request, _ args) *failure {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(description) // whoever does not take it has gone
			return nil
		},
	}
}

// object is a JSON object in the making.
type object = map[string]any

// describe makes the description of routes. Every type has its schema by the name that it has in package api.
func describe(routes []route) object {
	schemas := object{}
	refusal := content("application/json", schemaOf(reflect.TypeFor[api.Failure](), schemas))
	paths := object{}
	for i := range routes {
		rt := &routes[i]
		ok := object{"description": "OK"}
		switch {
		case rt.media != "" && rt.answers != nil:
			ok["content"] = content(rt.media, object{
				"type": "string", "contentMediaType": "application/json", "contentSchema": schemaOf(reflect.TypeOf(rt.answers), schemas),
			})
		case rt.media != "":
			ok["content"] = content(rt.media, object{})
		default:
			ok["content"] = content("application/json", schemaOf(reflect.TypeOf(rt.answers), schemas))
		}
		operation := object{
			"summary":   rt.summary,
			"responses": object{"200": ok, "default": object{"description": "A refusal.", "content": refusal}},
		}
		if p := parametersOf(rt); len(p) > 0 {
			operation["parameters"] = p
		}
		path, _ := paths[rt.path].(object)
		if path == nil {
			path = object{}
			paths[rt.path] = path
		}
		path[strings.ToLower(rt.method)] = operation
	}
	codes := make([]string, 0, len(api.Codes()))
	for _, c := range api.Codes() {
		codes = append(codes, string(c))
	}
	schemas["Error"].(object)["properties"].(object)["code"].(object)["enum"] = codes
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Tandem's admin API", "version": "1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"paths":   paths,
		"components": object{"schemas": schemas, "securitySchemes": object{
			"token": object{"type": "http", "scheme": "bearer"}, "certificate": object{"type": "mutualTLS"},
		}},
		"security": []object{{}, {"token": []string{}}, {"certificate": []string{}}},
	}
}

func content(media string, schema object) object { return object{media: object{"schema": schema}} }

// parametersOf describes what a route takes beside its path.
func parametersOf(rt *route) (list []object) {
	for segment := range strings.SplitSeq(rt.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			list = append(list, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, p := range rt.params {
		schema := object{"type": "string"}
		if p.integer {
			schema["type"] = "integer"
		}
		if p.words != nil {
			schema["enum"] = p.words
		}
		list = append(list, object{"name": p.name, "in": "query", "description": p.doc, "schema": schema})
	}
	if rt.ifMatch {
		list = append(list, object{"name": "If-Match", "in": "header", "required": true, "description": "the ETag of what was looked at, or *", "schema": object{"type": "string"}})
	}
	return list
}

// schemaOf describes a Go type; structs by a reference to what it puts into schemas.
func schemaOf(t reflect.Type, schemas object) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem(), schemas)
	case t == reflect.TypeFor[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Float64:
		return object{"type": "number"}
	case t.Kind() != reflect.Struct:
		return object{"type": "integer"}
	}
	name := schemaName(t)
	if schemas[name] == nil {
		properties, required := object{}, []string{}
		schemas[name] = object{"type": "object", "properties": properties, "additionalProperties": false}
		for i := range t.NumField() {
			f := t.Field(i)
			field, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := schemaOf(f.Type, schemas)
			if doc := f.Tag.Get("doc"); doc != "" {
				p["description"] = doc
			}
			properties[field] = p
			if !strings.Contains(options, "omitempty") {
				required = append(required, field)
			}
		}
		slices.Sort(required)
		schemas[name].(object)["required"] = required
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// schemaName is the name of a type without its package; that of a page of items is theirs with "Page" behind it.
func schemaName(t reflect.Type) string {
	name, item, generic := strings.Cut(t.Name(), "[")
	if !generic {
		return name
	}
	item = strings.TrimSuffix(item, "]")
	return item[strings.LastIndexByte(item, '.')+1:] + name
}
