package admin

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// FuzzRequests: whatever is asked, and however badly, the answer is one that the API has: JSON of a refusal, or
// what a route says that it gives. Nothing of it starts or stops anything for those who may not.
func FuzzRequests(f *testing.F) {
	for _, seed := range [][4]string{
		{"GET", "/v1/status", "", ""},
		{"GET", "/v1/connections?sort=-id&limit=1&offset=0&state=open", "", ""},
		{"GET", "/v1/connections?limit=-1", "", ""},
		{"GET", "/v1/connections/18446744073709551616", "", ""},
		{"GET", "/v1/explain?uri=sips:bob%40example.net&from=example.com", "", ""},
		{"GET", "/v1/explain?uri=%00%ff", "", ""},
		{"POST", "/v1/connections/1/close", "application/json", "{}"},
		{"POST", "/v1/reload", "application/json", `{"a":[[[[`},
		{"POST", "/v1/drain", "text/plain", "{}"},
		{"POST", "/v1/drain", "application/json", `{} {}`},
		{"POST", "/v1/drain", "application/json", strings.Repeat("[", 60000)},
		{"GET", "//v1//status", "", ""},
		{"GET", "/v1/%2e%2e/status;x?&&=", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	r := newRig(f, plainYAML)
	r.reload = nil
	r.srv.opts.Reload = nil
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8060}
	f.Fuzz(func(t *testing.T, method, target, media, body string) {
		u, err := url.Parse(target)
		if err != nil || strings.HasPrefix(u.Path, "/debug/") {
			return // the server turns the first away by itself, and profiles take their time
		}
		req := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8060/", strings.NewReader(body))
		req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, local))
		req.Method, req.URL, req.RemoteAddr = method, u, "127.0.0.1:4711"
		req.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		r.srv.ServeHTTP(w, req)
		got := w.Result()
		defer got.Body.Close()
		if w.Code < 400 {
			return
		}
		var failure api.Failure
		if err := json.Unmarshal(w.Body.Bytes(), &failure); err != nil || failure.Error == nil || !slices.Contains(api.Codes(), failure.Error.Code) || failure.Error.Message == "" {
			t.Errorf("%s %s: %d %q: %v", method, target, w.Code, w.Body, err)
		}
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s %s: %s", method, target, w.Body)
		}
	})
}
