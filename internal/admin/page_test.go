package admin

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/dashboard"
)

// TestPage: the files of the page are served as what they are, with a policy that lets nothing else in.
func TestPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	files := dashboard.Files()
	for path, f := range files {
		a := r.get(path, nil)
		policy := a.header.Get("Content-Security-Policy")
		if !bytes.Equal(a.body, f.Data) || a.header.Get("Content-Type") != f.Media || policy != dashboard.Policy || strings.Contains(policy, "unsafe") ||
			a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v, %d bytes", path, a.header, len(a.body))
		}
	}
	if a := r.do(http.DefaultClient, http.MethodHead, "/", ""); a.status != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d, %d bytes", a.status, len(a.body))
	}
	if got := r.get("/v1/status", nil).header.Get("Content-Security-Policy"); got != "default-src 'none'; frame-ancestors 'none'" {
		t.Errorf("the policy of the API is %q", got)
	}
}

// TestPageWithoutCredentials: the page is there to ask for the token, and nothing else is.
func TestPageWithoutCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.Replace(plainYAML, "admin: 127.0.0.1:0", `admin: {listen: "127.0.0.1:0", token_file: admin.token}`, 1))
	r.get("/", nil)
	r.get("/page/app.js", nil)
	for _, path := range []string{"/v1/status", "/v1/events", "/page/nothing.js", "/page", "/metrics", "/healthz", "/debug/pprof/", "/v1/openapi.json"} {
		refused(t, r.do(http.DefaultClient, "GET", path, ""), 401, api.Unauthorized)
	}
	refused(t, r.do(http.DefaultClient, "POST", "/", ""), 401, api.Unauthorized)
	refused(t, r.do(http.DefaultClient, "GET", "/", "", "Host", "evil.example"), 421, api.Misdirected)
}
