//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/tandem-sip/tandem/conformance"
	"github.com/tandem-sip/tandem/siptest"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// probedConfig is a Kamailio as the target of the prober: it answers OPTIONS itself and forwards the rest to
// the prober's address, at the port and over the transport of the Request-URI. It takes aliases and offers
// them, asks clients for a certificate and checks it, and checks those of servers.
var probedConfig = template.Must(template.New("probed").Parse(`#!KAMAILIO
debug=0
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
dns_try_ipv6=no
use_dns_failover=no
enable_tls=yes
disable_core_dump=yes
listen=udp:{{.IP}}:5060
listen=tcp:{{.IP}}:5060
listen=tls:{{.IP}}:5061
alias="example.com"
tcp_source_ipv4={{.IP}}
tcp_connection_lifetime=3600
tcp_connect_timeout=2
tcp_accept_aliases=yes
xavp_via_params="via"
mpath="{{.Modules}}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "corex.so"
loadmodule "tls.so"
modparam("tls", "config", "{{.Dir}}/tls.cfg")
modparam("tls", "tls_force_run", 1)
modparam("rr", "enable_double_rr", 1)
modparam("tm", "fr_timer", 1500)
request_route {
	if (!mf_process_maxfwd_header("70")) { sl_send_reply("483", "Too Many Hops"); exit; }
	$xavp(via=>alias) = "";
	via_add_xavp_params("1");
	if (method == "OPTIONS" && $rd == "example.com") { sl_send_reply("200", "OK"); exit; }
	if (method == "CANCEL") {
		if (t_check_trans()) { t_relay(); }
		exit;
	}
	if (has_totag()) { loose_route(); }
	else if (method == "INVITE") { record_route(); }
	if (uri == myself) { sl_send_reply("404", "Not Here"); exit; }
	if ($rd == "far.check.test") { $du = "sip:{{.Second}}:" + $rp + ";transport=" + $rP; }
	else if ($rd =~ "check.test$") { $du = "sip:{{.Prober}}:" + $rp + ";transport=" + $rP; }
	if (!t_relay()) { sl_reply_error(); }
	exit;
}
`))

// probedTLS lets clients without a certificate in, so that more can be seen.
const probedTLS = `[ROLE:default]
method = TLSv1.2+
certificate = target.pem
private_key = target.key
ca_list = ca.pem
verify_certificate = yes
require_certificate = no
`

// address is what differs from one run to the next in what the prober says.
var address = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+(:\d+)?`)

// TestCheckKamailio probes a Kamailio that shares connections by address alone, and compares with what is
// known to come of it. It proves that the prober can fail.
func TestCheckKamailio(t *testing.T) {
	dir := t.TempDir()
	target, prober, second := siptest.Loopback(t), siptest.Loopback(t), siptest.Loopback(t)
	args := []string{"check", "--domain", "example.com", "--listen", prober.String(), "--second", second.String()}
	uri := "sip:" + netip.AddrPortFrom(target, tlsPort).String()
	if out, err := exec.CommandContext(t.Context(), binary(t), append(args, "--make", dir, uri)...).CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	write(t, filepath.Join(dir, "kamailio.cfg"), func(f *os.File) error {
		return probedConfig.Execute(f, map[string]any{"IP": target, "Prober": prober, "Second": second, "Dir": dir, "Modules": kamailioModules()})
	})
	write(t, filepath.Join(dir, "tls.cfg"), func(f *os.File) error {
		text := strings.ReplaceAll(probedTLS, "ROLE", "server") + strings.ReplaceAll(probedTLS, "ROLE", "client")
		for _, name := range []string{"target.pem", "target.key", "ca.pem"} {
			text = strings.ReplaceAll(text, name, filepath.Join(dir, name))
		}
		_, err := f.WriteString(text)
		return err
	})
	p := start(t, "kamailio", dir, "kamailio", "-DD", "-E", "-f", filepath.Join(dir, "kamailio.cfg"), "-m", "64", "-M", "8",
		"-P", filepath.Join(dir, "kamailio.pid"), "-Y", dir, "-w", dir)
	p.awaitListening(t, "udp", netip.AddrPortFrom(target, plainPort))
	p.awaitListening(t, "tcp", netip.AddrPortFrom(target, tlsPort))

	cmd := exec.CommandContext(t.Context(), binary(t), append(args, "--ca", filepath.Join(dir, "ca.pem"), "--ca-key", filepath.Join(dir, "ca.key"),
		"--idle", "1s", "--json", uri)...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Fatalf("tandem check: %v, want exit code 1 because some cases fail\n%s", err, problems.Bytes())
	}
	var report conformance.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, r := range report.Cases {
		line := fmt.Sprintf("%-12s %-12s %s", r.ID, r.Verdict, address.ReplaceAllString(r.Reason, "ADDRESS"))
		got.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	golden := filepath.Join("testdata", "check-kamailio-5.6.3.txt")
	if *update {
		write(t, golden, func(f *os.File) error { _, err := f.WriteString(got.String()); return err })
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the results are not those of %s; got:\n%s", golden, &got)
	}
	if t.Failed() {
		for _, r := range report.Cases {
			t.Logf("%s %s %s:\n%s", r.ID, r.Verdict, r.Reason, strings.Join(r.Seen, "\n"))
		}
	}
}
