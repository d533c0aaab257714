//go:build deploy

package deploy

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/devca"
)

// site is a proxy that runs.
type site struct{ udp, tls, admin string }

// serve runs a proxy for a domain, which knows the other one as its peer; toOther is where that one is, or "".
// admin is what the configuration says of its admin API.
func serve(t *testing.T, dir, domain, other, toOther, admin string) site {
	t.Helper()
	route := ""
	if toOther != "" {
		route = fmt.Sprintf("routes: [{match: {domain: %s}, to: \"sip:%s;transport=tls\"}]\n", other, toOther)
	}
	file := filepath.Join(dir, domain+".yaml")
	text := fmt.Sprintf(`
listen: [udp://127.0.0.1:0, tls://127.0.0.1:0]
admin: %[4]s
trust: {ca: [ca.pem]}
domains: [{name: %[1]s, certificate: %[1]s.pem, key: %[1]s.key}]
access: {relay_from: [127.0.0.1/32]}
peers: [{name: %[2]s, identities: [%[2]s], addresses: [127.0.0.1/32], reference_identity: %[2]s}]
%[3]s`, domain, other, route, admin)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, tandem(t), "serve", "--config", file)
	p.until(t, "msg=serving")
	return site{p.until(t, "on=udp://"), p.until(t, "on=tls://"), p.until(t, `msg="admin API" on=`)}
}

// pair runs two proxies and has a request go from one to the other over TLS, so that everything is there that can be
// measured.
func pair(t *testing.T) (a, b site) {
	t.Helper()
	dir := t.TempDir()
	if err := devca.Write(dir, "Test CA", []string{"example.com"}, []string{"example.net"}); err != nil {
		t.Fatal(err)
	}
	b = serve(t, dir, "example.net", "example.com", "", "{listen: 127.0.0.1:0, certificate: example.net.pem, key: example.net.key}")
	a = serve(t, dir, "example.com", "example.net", b.tls, "127.0.0.1:0")
	conn, err := net.Dial("udp", a.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	for i := range 64 { // one in sixteen is measured, by chance
		fmt.Fprintf(conn, "OPTIONS sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bK%[2]d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@example.com>;tag=1\r\nTo: <sip:example.net>\r\nCall-ID: %[2]d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", conn.LocalAddr(), i)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(buf[:n]), "SIP/2.0 200 ") {
			t.Fatalf("%s", buf[:n])
		}
	}
	return a, b
}

// get fetches a page of a proxy that the test has started, whose certificate is for its domain and not for 127.0.0.1: it is
// not verified.
func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

// query is one that a panel of the dashboard makes.
type query struct{ panel, expr string }

// dashboard reads the queries of the dashboard.
func dashboard(t *testing.T) (list []query) {
	t.Helper()
	data, err := os.ReadFile("grafana/tandem.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Annotations struct{ List []struct{ Name, Expr string } }
		Panels      []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	seen, place := make(map[int]bool), make(map[[2]int]string)
	for _, p := range board.Panels {
		if seen[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		seen[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := place[at]; other != "" || at[0] >= 24 {
					t.Fatalf("panel %q does not fit beside %q", p.Title, other)
				}
				place[at] = p.Title
			}
		}
		for _, x := range p.Targets {
			list = append(list, query{p.Title, x.Expr})
		}
	}
	for _, a := range board.Annotations.List {
		list = append(list, query{a.Name, a.Expr})
	}
	if len(list) < 20 {
		t.Fatalf("the dashboard has %d queries", len(list))
	}
	return list
}

// metricName is the name of a metric where it stands in an expression.
var metricName = regexp.MustCompile(`\b(?:tandem|process|go)_[a-z0-9_]+\b`)

// TestMetrics: Prometheus takes what a running proxy shows, and every metric that the rules and the dashboard name is
// there.
func TestMetrics(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	text := get(t, "http://"+a.admin+"/metrics")
	if out := run(t, []byte(text), "promtool", "check", "metrics"); strings.TrimSpace(out) != "" {
		t.Errorf("promtool check metrics:\n%s", out)
	}
	text += get(t, "https://"+b.admin+"/metrics")
	rules, err := os.ReadFile("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	names := metricName.FindAllString(string(rules), -1)
	for _, q := range dashboard(t) {
		names = append(names, metricName.FindAllString(q.expr, -1)...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		if !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
			t.Errorf("no metric of a running proxy is called %s", name)
		}
	}
	if len(names) < 40 {
		t.Errorf("only %d metrics are named", len(names))
	}
}

// TestRules: the alert rules are rules, and say what their tests want; and each has a test.
func TestRules(t *testing.T) {
	t.Parallel()
	run(t, nil, "promtool", "check", "rules", "--lint=all", "--lint-fatal", "prometheus/alerts.yml")
	run(t, nil, "promtool", "test", "rules", "prometheus/alerts_test.yml")
	rules, err := os.ReadFile("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("prometheus/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !regexp.MustCompile(`\b` + m[1] + `\b`).Match(tests) {
			t.Errorf("%s has no test", m[1])
		}
	}
}

// answer is that of Prometheus' query API.
type answer struct {
	Status, Error string
	Data          struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
		Groups []struct {
			Rules []struct{ Name, Health, State, LastError string }
		}
	}
}

// TestPrometheus has Prometheus watch two proxies: each query of the dashboard finds something, all rules can be evaluated,
// and nothing is alerted.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	dir := t.TempDir()
	rules, err := filepath.Abs("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 500ms, evaluation_interval: 500ms}\nrule_files: [%s]\n"+
		"scrape_configs:\n- {job_name: a, static_configs: [{targets: [%q], labels: {job: tandem}}]}\n"+
		"- {job_name: b, scheme: https, tls_config: {insecure_skip_verify: true}, static_configs: [{targets: [%q], labels: {job: tandem}}]}\n", rules, a.admin, b.admin)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := free(t)
	start(t, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	ask := func(path string, values url.Values) (out answer, err error) {
		resp, err := http.Get("http://" + at + path + "?" + values.Encode())
		if err != nil {
			return out, err
		}
		defer resp.Body.Close()
		return out, json.NewDecoder(resp.Body).Decode(&out)
	}
	// Rates need two scrapes of each.
	seen := url.Values{"query": {"count_over_time(tandem_build_info[1m]) > 3"}}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		if got, err := ask("/api/v1/query", seen); err == nil && len(got.Data.Result) == 2 {
			break
		} else if i == 200 {
			t.Fatalf("both proxies are not watched: %+v %v", got, err)
		}
		<-tick.C
	}
	rate := strings.NewReplacer("$__rate_interval", "1m", "$job", "tandem", "$instance", ".*")
	// What is about to happen, or never does on a machine that is well.
	empty := []string{"Requests forwarded without a new connection", "Configuration in force"}
	for _, q := range dashboard(t) {
		got, err := ask("/api/v1/query", url.Values{"query": {rate.Replace(q.expr)}})
		switch {
		case err != nil || got.Status != "success":
			t.Errorf("%s: %s\n%s %v", q.panel, q.expr, got.Error, err)
		case len(got.Data.Result) == 0 && !strings.Contains(q.expr, " > 0") && !slices.Contains(empty, q.panel):
			t.Errorf("%s finds nothing: %s", q.panel, q.expr)
		}
	}
	got, err := ask("/api/v1/rules", nil)
	if err != nil || len(got.Data.Groups) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	for _, g := range got.Data.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" && r.Health != "unknown" || r.LastError != "" {
				t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
			}
			if r.State != "inactive" && r.Name != "TandemCertificateExpiring" { // the certificates of tests are short-lived
				t.Errorf("%s is %s", r.Name, r.State)
			}
		}
	}
}

// free returns an address on loopback at which nothing listens yet.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
