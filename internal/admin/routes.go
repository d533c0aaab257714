package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// route is one thing that can be asked. The description of the API is made of the routes.
type route struct {
	method  string
	path    string // segments in braces match any one segment
	summary string
	params  []parameter // of the query
	answers any         // a value of the type that the body, or each event of a stream, has; nil: it is no JSON
	media   string      // of the body when it is not one JSON value
	ifMatch bool        // it needs If-Match
	serve   func(http.ResponseWriter, *http.Request, args) *failure
}

// parameter is one that the query of a request may have.
type parameter struct {
	name, doc string
	integer   bool
	words     []string // those that it may be; nil: any text
}

// args are the segments of a path that its pattern has in braces, by name.
type args map[string]string

// failure is a refusal on its way to the client.
type failure struct {
	status int
	body   api.Error
}

func refuse(status int, code api.Code, message string) *failure {
	return &failure{status, api.Error{Code: code, Message: message}}
}

// ServeHTTP turns away who may not ask, reads the body, finds the route and has it serve.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	file, isPage := s.pageOf(r)
	f := s.admit(r, isPage)
	if bad := readBody(w, r); f == nil {
		f = bad
	}
	switch {
	case f != nil:
	case isPage:
		servePage(w, file)
	default:
		f = s.dispatch(w, r)
	}
	if f != nil {
		f.write(w)
	}
}

// dispatch finds the route of a request.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) *failure {
	var allowed []string
	for i := range s.routes {
		rt := &s.routes[i]
		a, ok := rt.match(r.URL.Path)
		if !ok {
			continue
		}
		if r.Method == rt.method || r.Method == http.MethodHead && rt.method == http.MethodGet {
			if f := rt.check(r); f != nil {
				return f
			}
			return rt.serve(w, r, a)
		}
		allowed = append(allowed, rt.method)
	}
	if len(allowed) == 0 {
		return refuse(http.StatusNotFound, api.NotFound, "there is nothing of that name: GET /v1/openapi.json lists what there is")
	}
	slices.Sort(allowed)
	allow := strings.Join(slices.Compact(allowed), ", ")
	w.Header().Set("Allow", allow)
	return refuse(http.StatusMethodNotAllowed, api.MethodNotAllowed, "the method is not allowed here: use "+allow)
}

// match compares a path with the route's, and returns what stands in the place of the braces.
func (rt *route) match(path string) (args, bool) {
	var a args
	want := rt.path
	for {
		w, wantRest, wantMore := strings.Cut(want, "/")
		p, rest, more := strings.Cut(path, "/")
		switch {
		case strings.HasPrefix(w, "{") && p != "":
			if a == nil {
				a = make(args, 1)
			}
			a[w[1:len(w)-1]] = p
		case w != p:
			return nil, false
		}
		if wantMore != more {
			return nil, false
		}
		if !more {
			return a, true
		}
		want, path = wantRest, rest
	}
}

// check finds what is wrong with the query of a request and with its preconditions.
func (rt *route) check(r *http.Request) *failure {
	if rt.media != "" && rt.answers == nil {
		return nil // such a handler reads its query itself
	}
	// What cannot be read is an error too, and not ignored as Query does.
	if strings.ContainsAny(r.URL.RawQuery, ";") {
		return refuse(http.StatusBadRequest, api.BadRequest, "a query separates its parameters by &")
	}
	for name, values := range r.URL.Query() {
		i := slices.IndexFunc(rt.params, func(p parameter) bool { return p.name == name })
		switch {
		case i < 0:
			return refuse(http.StatusBadRequest, api.BadRequest, "unknown parameter "+shown(name)+": "+rt.known())
		case len(values) > 1:
			return refuse(http.StatusBadRequest, api.BadRequest, "parameter "+shown(name)+" is there twice")
		}
		if p := rt.params[i]; p.words != nil && !slices.Contains(p.words, values[0]) {
			return refuse(http.StatusBadRequest, api.BadRequest, p.name+" is one of "+strings.Join(p.words, ", "))
		}
	}
	if rt.method == http.MethodPost {
		if f := decodeBody(r, &struct{}{}); f != nil {
			return f
		}
	}
	if rt.ifMatch && r.Header.Get("If-Match") == "" {
		return refuse(http.StatusPreconditionRequired, api.PreconditionRequired, "give If-Match with the ETag of what you looked at, or *")
	}
	return nil
}

// known lists the parameters of a route.
func (rt *route) known() string {
	if len(rt.params) == 0 {
		return "there are none here"
	}
	names := make([]string, len(rt.params))
	for i, p := range rt.params {
		names[i] = p.name
	}
	return "known here are " + strings.Join(names, ", ")
}

// shown is a client's own text as it stands in an answer.
func shown(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}

// number reads a parameter that is a whole number from low to high.
func number(r *http.Request, name string, otherwise, low, high int) (int, *failure) {
	if !r.URL.Query().Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < low || n > high {
		return 0, refuse(http.StatusBadRequest, api.BadRequest, name+" is a whole number from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
	}
	return n, nil
}

// readBody takes in the whole body within a limit of size and time, whatever becomes of the request: what is left
// unread would hold up the connection.
func readBody(w http.ResponseWriter, r *http.Request) *failure {
	if r.ContentLength == 0 {
		return nil
	}
	wire := http.NewResponseController(w)
	_ = wire.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		w.Header().Set("Connection", "close")
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return refuse(http.StatusRequestEntityTooLarge, api.TooLarge, "the body is larger than "+strconv.Itoa(maxBody)+" bytes")
		}
		return refuse(http.StatusBadRequest, api.BadRequest, "the body did not arrive")
	}
	_ = wire.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(data))
	r.ContentLength = int64(len(data))
	return nil
}

// decodeBody reads the JSON object in a body, if there is a body. Anything that is not known is an error.
func decodeBody(r *http.Request, into any) *failure {
	if r.ContentLength == 0 {
		return nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		// A form of somebody else's page cannot say this.
		return refuse(http.StatusUnsupportedMediaType, api.UnsupportedMediaType, "the body has to be application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, api.BadRequest, "the body is not the JSON object that is expected here: "+shown(err.Error()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, api.BadRequest, "there is something behind the JSON object in the body")
	}
	return nil
}

// write answers with a refusal.
func (f *failure) write(w http.ResponseWriter) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, f.status, api.Failure{Error: &f.body})
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(true)
	if err := e.Encode(v); err != nil {
		panic("admin: " + reflect.TypeOf(v).String() + " is no JSON: " + err.Error()) // a bug of ours
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever does not take it has gone
}
