//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// kamailioConfig is the smallest proxy that Kamailio can be for one domain of two: it record-routes, obeys
// Route, asks for and checks certificates. Names are mapped to addresses here instead of by DNS.
var kamailioConfig = template.Must(template.New("kamailio").Parse(`#!KAMAILIO
debug=0
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
dns_try_ipv6=no
use_dns_failover=no
disable_core_dump=yes
listen=udp:{{.Own.IP}}:5060
listen=tcp:{{.Own.IP}}:5060
{{- if .SCTP}}
enable_sctp=yes
sctp_children=1
listen=sctp:{{.Own.IP}}:5060
{{- else}}
enable_tls=yes
listen=tls:{{.Own.IP}}:5061
{{- end}}
alias="{{.Own.Domain}}"
tcp_source_ipv4={{.Own.IP}}
tcp_connection_lifetime=3600
{{- if .Aliases}}
tcp_accept_aliases=yes
xavp_via_params="via"
{{- end}}
mpath="{{.Modules}}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "pv.so"
loadmodule "textops.so"
{{- if .Aliases}}
loadmodule "corex.so"
{{- end}}
{{- if .SCTP}}
loadmodule "sctp.so"
{{- else}}
loadmodule "tls.so"
modparam("tls", "config", "{{.Dir}}/tls.cfg")
modparam("tls", "tls_force_run", 1)
{{- end}}
modparam("rr", "enable_double_rr", 1)
request_route {
	if (!mf_process_maxfwd_header("70")) { sl_send_reply("483", "Too Many Hops"); exit; }
{{- if .Aliases}}
	$xavp(via=>alias) = "";
	via_add_xavp_params("1");
{{- end}}
	if (method == "CANCEL") {
		if (t_check_trans()) { route(RELAY); }
		exit;
	}
	if (has_totag()) {
		if (loose_route()) { route(RELAY); exit; }
		if (method == "ACK") {
			if (t_check_trans()) { route(RELAY); }
			exit;
		}
		sl_send_reply("404", "Not Here");
		exit;
	}
	if (method == "INVITE") { record_route(); }
	if ($rd == "{{.Own.Domain}}") { $du = "sip:{{.Agent}};transport={{.AgentTransport}}"; }
	else { $du = "{{.Next}}"; }
	route(RELAY);
}
route[RELAY] {
	# the peer's name in its Record-Route; there is no DNS here
	if ($dd == "{{.Peer.Domain}}" || $dd == "{{.Peer.SentBy}}") { $du = "{{.Next}}"; }
	if (!t_relay()) { sl_reply_error(); }
	exit;
}
`))

// kamailioTLS makes Kamailio ask for and check certificates in both roles.
const kamailioTLS = `[ROLE:default]
method = TLSv1.2+
certificate = CERT
private_key = KEY
ca_list = CA
verify_certificate = yes
require_certificate = yes
`

// kamailio is a Kamailio in the place of one proxy.
type kamailio struct {
	aliases bool // it takes and makes the offer of an alias; as it is installed it does neither
}

func (k kamailio) String() string {
	if k.aliases {
		return "Kamailio with aliases"
	}
	return "Kamailio"
}

// kamailioModules is where Debian keeps Kamailio's modules, with a slash behind it.
func kamailioModules() string {
	for _, dir := range []string{"/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/aarch64-linux-gnu/kamailio/modules"} {
		if _, err := os.Stat(dir); err == nil {
			return dir + "/"
		}
	}
	return ""
}

func (k kamailio) start(t *testing.T, s site) {
	t.Helper()
	dir := filepath.Join(s.dir, s.own.Domain)
	next := fmt.Sprintf("sip:%s:%d;transport=%s", s.peer.IP, s.port(), s.over)
	write(t, filepath.Join(dir, "kamailio.cfg"), func(f *os.File) error {
		return kamailioConfig.Execute(f, map[string]any{"Own": s.own, "Peer": s.peer, "Dir": dir, "Modules": kamailioModules(),
			"Agent": s.agent, "AgentTransport": s.agentTransport, "Aliases": k.aliases, "SCTP": s.over == "sctp", "Next": next})
	})
	write(t, filepath.Join(dir, "tls.cfg"), func(f *os.File) error {
		for _, role := range []string{"server", "client"} {
			text := strings.NewReplacer("ROLE", role, "CERT", s.file(s.own.Domain+".pem"), "KEY", s.file(s.own.Domain+".key"), "CA", s.file("ca.pem")).Replace(kamailioTLS)
			if _, err := f.WriteString(text); err != nil {
				return err
			}
		}
		return nil
	})
	p := start(t, s.own.Domain, dir, "kamailio", "-DD", "-E", "-f", filepath.Join(dir, "kamailio.cfg"), "-m", "64", "-M", "8",
		"-P", filepath.Join(dir, "kamailio.pid"), "-Y", dir, "-w", dir)
	p.awaitListening(t, "udp", netip.AddrPortFrom(s.own.IP, plainPort))
	s.awaitPeers(t, p)
}
