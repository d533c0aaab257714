package admin

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/internal/node"
)

// rig is a running node with its admin API.
type rig struct {
	t    testing.TB
	dir  string
	node *node.Node
	srv  *Server
	base string // such as http://127.0.0.1:12345

	reload func(context.Context) error // what Options.Reload does
	stop   func()                      // ends the node and its API
	drains chan struct{}               // one for each call of Options.Drain
}

// secret is what the rigs have in admin.token.
const secret = "0123456789abcdef0123456789abcdef"

// newRig runs a node with a configuration, which has an admin API and certificates of example.com and
// example.org at hand.
func newRig(t testing.TB, yaml string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), drains: make(chan struct{}, 10)}
	if err := devca.Write(r.dir, "Test CA", []string{"example.com"}, []string{"example.org"}); err != nil {
		t.Fatal(err)
	}
	writeServerCertificate(t, r.dir)
	if err := os.WriteFile(filepath.Join(r.dir, "admin.token"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := r.config(yaml)
	n, err := node.New(cfg, node.Options{Level: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		t.Fatal(err)
	}
	r.node = n
	r.srv = New(Options{
		Node: n, Version: "v1.2.3",
		Reload: func(ctx context.Context) error { return r.reload(ctx) },
		Drain:  func() { r.drains <- struct{}{} },
	})
	if err := r.srv.Open(); err != nil {
		t.Fatal(err)
	}
	r.base = "http://" + r.srv.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	ended := make(chan error, 2)
	// Ends when the test does.
	go func() { ended <- n.Run(ctx) }()
	// Ends when the test does.
	go func() { ended <- r.srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	r.eventually("the node serves", func() bool { return n.State() == node.Serving })
	return r
}

// config reads a configuration in the rig's directory.
func (r *rig) config(yaml string) *config.Config {
	r.t.Helper()
	cfg, err := config.Parse([]byte(yaml), r.dir, "tandem.yaml")
	if err != nil {
		r.t.Fatal(err)
	}
	return cfg
}

// plainYAML is a node that anybody on this machine may ask.
const plainYAML = `
listen: [udp://127.0.0.1:0, tcp://127.0.0.1:0, tls://127.0.0.1:0]
admin: 127.0.0.1:0
trust: {ca: [ca.pem]}
domains:
  - {name: example.com, certificate: example.com.pem, key: example.com.key}
`

// secretYAML is one that wants credentials, over TLS.
const secretYAML = `
listen: [udp://127.0.0.1:0]
admin: {listen: "127.0.0.1:0", token_file: admin.token, client_ca: [ca.pem], certificate: admin.pem, key: admin.key}
`

// eventually waits until something is so.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline, tick := time.NewTimer(10*time.Second), time.NewTicker(2*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			r.t.Fatalf("not so within 10 s: %s", what)
		}
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request; header has pairs of names and values.
func (r *rig) do(client *http.Client, method, path, body string, header ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

// get asks for a path and wants it to be there.
func (r *rig) get(path string, into any) answer {
	r.t.Helper()
	a := r.do(http.DefaultClient, http.MethodGet, path, "")
	if a.status != http.StatusOK {
		r.t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			r.t.Fatalf("GET %s: %v in %s", path, err, a.body)
		}
	}
	return a
}

// refused checks that an answer is a refusal in the one form that there is.
func refused(t testing.TB, a answer, status int, code api.Code) {
	t.Helper()
	var f api.Failure
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	switch err := d.Decode(&f); {
	case a.status != status:
		t.Errorf("answered %d %s, want %d", a.status, a.body, status)
	case err != nil || f.Error == nil || f.Error.Message == "" || a.header.Get("Content-Type") != "application/json":
		t.Errorf("%d without the usual body: %v %q", a.status, err, a.body)
	case f.Error.Code != code || !slices.Contains(api.Codes(), code):
		t.Errorf("refused with %q, want %q", f.Error.Code, code)
	}
}

// TestRefusals: who is turned away, and with what.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	port := r.srv.Addr().(*net.TCPAddr).Port
	large := strings.Repeat(" ", maxBody+1)
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     api.Code // "": it is let in
	}{
		{"plain", "GET", "/healthz", "", nil, 200, ""},
		{"head", "HEAD", "/v1/status", "", nil, 200, ""},
		{"localhost", "GET", "/healthz", "", []string{"Host", fmt.Sprintf("LOCALHOST:%d", port)}, 200, ""},
		{"another loopback address, as through a forwarded port", "GET", "/healthz", "", []string{"Host", "[::1]:9"}, 200, ""},
		{"own page", "GET", "/healthz", "", []string{"Origin", r.base, "Sec-Fetch-Site", "same-origin"}, 200, ""},
		{"address bar", "GET", "/healthz", "", []string{"Sec-Fetch-Site", "none"}, 200, ""},

		{"rebound name", "GET", "/v1/status", "", []string{"Host", "evil.example"}, 421, api.Misdirected},
		{"rebound name with the port", "GET", "/healthz", "", []string{"Host", fmt.Sprintf("evil.example:%d", port)}, 421, api.Misdirected},
		{"name below localhost", "GET", "/healthz", "", []string{"Host", "evil.localhost"}, 421, api.Misdirected},
		{"served domain", "GET", "/healthz", "", []string{"Host", "example.com"}, 421, api.Misdirected},
		{"address of somebody else", "GET", "/healthz", "", []string{"Host", "192.0.2.1"}, 421, api.Misdirected},

		{"page of another site", "GET", "/v1/status", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, api.Forbidden},
		{"page of the same site and another port", "POST", "/v1/drain", "", []string{"Sec-Fetch-Site", "same-site"}, 403, api.Forbidden},
		{"origin of another site", "POST", "/v1/drain", "", []string{"Origin", "http://evil.example"}, 403, api.Forbidden},
		{"origin of another port", "POST", "/v1/drain", "", []string{"Origin", "http://127.0.0.1:1"}, 403, api.Forbidden},
		{"origin of another scheme", "GET", "/healthz", "", []string{"Origin", strings.Replace(r.base, "http", "https", 1)}, 403, api.Forbidden},
		{"hidden origin", "GET", "/healthz", "", []string{"Origin", "null"}, 403, api.Forbidden},
		{"two origins", "GET", "/healthz", "", []string{"Origin", r.base, "Origin", "http://evil.example"}, 403, api.Forbidden},
		{"preflight", "OPTIONS", "/v1/drain", "", []string{"Origin", "http://evil.example", "Access-Control-Request-Method", "POST"}, 403, api.Forbidden},

		{"the page", "GET", "/", "", nil, 200, ""},
		{"the page of another site's", "GET", "/", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, api.Forbidden},
		{"a file of the page under a rebound name", "GET", "/page/app.js", "", []string{"Host", "evil.example"}, 421, api.Misdirected},
		{"posted to the page", "POST", "/", "", nil, 404, api.NotFound},
		{"beside the page", "GET", "/page/", "", nil, 404, api.NotFound},
		{"out of the page", "GET", "/page/../dashboard.go", "", nil, 404, api.NotFound},
		{"nothing there", "GET", "/v2", "", nil, 404, api.NotFound},
		{"below something", "GET", "/healthz/", "", nil, 404, api.NotFound},
		{"dots", "GET", "/v1/../healthz", "", nil, 404, api.NotFound},
		{"method", "DELETE", "/v1/status", "", nil, 405, api.MethodNotAllowed},
		{"strange method", "BREW", "/healthz", "", nil, 405, api.MethodNotAllowed},
		{"parameter", "GET", "/v1/status?colour=red", "", nil, 400, api.BadRequest},
		{"semicolon", "GET", "/v1/status?a;b", "", nil, 400, api.BadRequest},
		{"large", "GET", "/healthz", large, nil, 413, api.TooLarge},
		{"profile of a day", "GET", "/debug/pprof/profile?seconds=86400", "", nil, 400, api.BadRequest},
		{"profile of no number", "GET", "/debug/pprof/trace?seconds=NaN", "", nil, 400, api.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.do(http.DefaultClient, c.method, c.path, c.body, c.header...)
			if c.code != "" {
				refused(t, a, c.status, c.code)
			} else if a.status != c.status {
				t.Errorf("answered %d %s, want %d", a.status, a.body, c.status)
			}
			for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Server"} {
				if v := a.header.Get(name); v != "" {
					t.Errorf("%s: %s", name, v)
				}
			}
			if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("header: %v", a.header)
			}
		})
	}
	if n := len(r.drains); n != 0 {
		t.Errorf("a drain was asked for %d times by those who may not", n)
	}
}

// TestOutside: a listener without credentials answers nobody who comes from another machine, whatever leads there.
func TestOutside(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	for _, c := range []struct {
		local, remote string
		want          bool
	}{
		{"127.0.0.1:8060", "127.0.0.1:4711", true},
		{"[::1]:8060", "[::1]:4711", true},
		{"[::ffff:127.0.0.1]:8060", "127.0.0.1:4711", true},
		{"127.0.0.1:8060", "192.0.2.7:4711", false},
		{"192.0.2.10:8060", "192.0.2.7:4711", false},
		{"192.0.2.10:8060", "127.0.0.1:4711", false},
		{"", "", false},
	} {
		local, _ := net.ResolveTCPAddr("tcp", c.local)
		req, err := http.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local), "GET", "http://127.0.0.1/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.RemoteAddr = c.remote
		if strings.HasPrefix(c.local, "[::1]") {
			req.Host = "[::1]:8060"
		}
		if f := r.srv.admit(req, false); (f == nil) != c.want {
			t.Errorf("from %s to %s: %+v", c.remote, c.local, f)
		}
	}
}

// TestCredentials: with a token or a client certificate one is let in, and without neither.
func TestCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t, secretYAML)
	r.base = strings.Replace(r.base, "http", "https", 1)
	roots, foreign := x509.NewCertPool(), t.TempDir()
	roots.AddCert(r.node.Config().Admin.Certificate.Leaf)
	if err := devca.Write(foreign, "Foreign CA", []string{"ops"}); err != nil {
		t.Fatal(err)
	}
	client := func(files ...string) *http.Client {
		cfg := &tls.Config{RootCAs: roots, ServerName: "localhost"}
		if len(files) > 0 {
			cert, err := tls.LoadX509KeyPair(files[0], files[1])
			if err != nil {
				t.Fatal(err)
			}
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
		return &http.Client{Transport: tr}
	}
	nobody := client()
	for _, token := range []string{"", "Bearer ", "Bearer " + secret[1:], "Bearer " + secret + "x", "Basic " + secret, secret, "bearer" + secret} {
		for _, path := range []string{"/healthz", "/v1/status", "/debug/pprof/heap", "/nothing"} {
			a := r.do(nobody, "GET", path, "", "Authorization", token)
			refused(t, a, 401, api.Unauthorized)
			if a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("header: %v", a.header)
			}
		}
	}
	if a := r.do(nobody, "GET", "/healthz", "", "Authorization", "Bearer "+secret); a.status != 200 {
		t.Errorf("with the token: %d %s", a.status, a.body)
	}
	refused(t, r.do(nobody, "GET", "/healthz", "", "Authorization", "Bearer "+secret, "Host", "evil.example"), 421, api.Misdirected)
	for _, host := range []string{"admin.example", "ADMIN.example:8060", "192.0.2.10", "localhost:1"} {
		if a := r.do(nobody, "GET", "/healthz", "", "Authorization", "Bearer "+secret, "Host", host); a.status != 200 {
			t.Errorf("under a name in the certificate, %s: %d %s", host, a.status, a.body)
		}
	}
	ours := client(filepath.Join(r.dir, "example.org.pem"), filepath.Join(r.dir, "example.org.key"))
	if a := r.do(ours, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("with a client certificate: %d %s", a.status, a.body)
	}
	theirs := client(filepath.Join(foreign, "ops.pem"), filepath.Join(foreign, "ops.key"))
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.base+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := theirs.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("with a certificate of another authority: %d", resp.StatusCode)
	}

	// A reload changes the credentials, on connections that stand as well.
	tr := ours.Transport.(*http.Transport)
	tr.DisableKeepAlives = false
	defer tr.CloseIdleConnections()
	if a := r.do(ours, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("before the reload: %d", a.status)
	}
	if err := r.node.Reload(r.config(strings.Replace(secretYAML, "client_ca: [ca.pem], ", "", 1))); err != nil {
		t.Fatal(err)
	}
	refused(t, r.do(ours, "GET", "/healthz", ""), 401, api.Unauthorized)
	if r.srv.refused.credentials.Load() == 0 {
		t.Error("refusals are not counted")
	}
}

// writeServerCertificate writes admin.pem and admin.key, of a certificate for localhost and admin.example that vouches
// for itself.
func writeServerCertificate(t testing.TB, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		DNSNames: []string{"localhost", "admin.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(192, 0, 2, 10)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"admin.pem": {Type: "CERTIFICATE", Bytes: der},
		"admin.key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStatus: what is said of a process, and that a drain shows.
func TestStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	var st api.Status
	r.get("/v1/status", &st)
	if st.Version != "v1.2.3" || st.State != "serving" || st.Config.File != "tandem.yaml" || st.Config.Loaded.IsZero() {
		t.Errorf("status: %+v", st)
	}
	r.get("/readyz", nil)
	if err := r.node.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(t, r.do(http.DefaultClient, "GET", "/readyz", ""), 503, api.Unavailable)
	r.get("/healthz", nil)
	r.get("/v1/status", &st)
	if st.State != "draining" {
		t.Errorf("state %q", st.State)
	}
}

// TestProfiles: every profile that Go knows can be taken, those of the processor and of the execution for a time.
func TestProfiles(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	for _, path := range []string{"heap", "goroutine?debug=2", "allocs", "mutex", "block", "threadcreate", "cmdline", "symbol", "trace?seconds=0.1", ""} {
		if a := r.get("/debug/pprof/"+path, nil); len(a.body) == 0 {
			t.Errorf("%s is empty", path)
		}
	}
	// A profile is whole: gzip begins so.
	if a := r.get("/debug/pprof/profile?seconds=1", nil); len(a.body) < 2 || a.body[0] != 0x1f || a.body[1] != 0x8b {
		t.Errorf("no profile: %q", a.body)
	}
	if a := r.do(http.DefaultClient, "GET", "/debug/pprof/nothing", ""); a.status != 404 {
		t.Errorf("an unknown profile: %d", a.status)
	}
}

// TestConnectionLimit: those beyond the limit are closed, and those within it are served.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	var conns []net.Conn
	for range maxConnections {
		c, err := net.Dial("tcp", r.srv.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	r.eventually("one too many is closed", func() bool {
		c, err := net.Dial("tcp", r.srv.Addr().String())
		if err != nil {
			return false
		}
		defer c.Close()
		return r.srv.refused.full.Load() > 0
	})
	for _, c := range conns {
		c.Close()
	}
	r.eventually("the places are given back", func() bool {
		resp, err := http.Get(r.base + "/healthz") //nolint:noctx // the client gives up by itself
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

// TestSlowBody: a body that does not come holds nobody up, and one that says more than it has is refused.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	c, err := net.Dial("tcp", r.srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/drain HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\n{", r.srv.Addr())
	c.SetReadDeadline(time.Now().Add(4 * bodyTimeout))
	data, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(data), "HTTP/1.1 400 ") || len(r.drains) != 0 {
		t.Errorf("%v: %q", err, data)
	}
}
