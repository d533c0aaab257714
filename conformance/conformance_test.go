package conformance_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-sip/tandem/conformance"
	"github.com/tandem-sip/tandem/siptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick is how long to wait where nothing comes.
const quick = 300 * time.Millisecond

// notFromOutside are the clauses that no target can pass or fail.
var notFromOutside = []string{"5923-8.3-1", "5923-8.3-2", "5922-7.4-2"}

// probe runs the cases against an element.
func probe(t *testing.T, s sins, only string) *conformance.Report {
	t.Helper()
	a, err := conformance.NewAuthority("Test authority")
	if err != nil {
		t.Fatal(err)
	}
	here, second := siptest.Loopback(t), siptest.Loopback(t)
	dns := netip.AddrPortFrom(here, 5300)
	e := newElement(t, a, dns, s)
	p, err := conformance.New(t.Context(), conformance.Config{
		Target: "sip:" + e.ip.String(), Domain: homeDomain, SecondDomain: otherDomain, Listen: here, Second: second, DNS: dns,
		Authority: a, Wait: time.Second, Quiet: 100 * time.Millisecond, Idle: 200 * time.Millisecond, Only: regexp.MustCompile(only),
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGoodElement runs every case against an element without sins: all but those that nobody can test pass.
func TestGoodElement(t *testing.T) {
	r := probe(t, sins{}, "")
	want := conformance.Facts{AsksCertificate: true, Forwards: true, OffersAlias: true, HonoursAlias: true}
	if r.Facts != want {
		t.Errorf("facts are %+v, want %+v", r.Facts, want)
	}
	for _, k := range r.Cases {
		verdict := conformance.Passed
		if slices.Contains(notFromOutside, k.ID) {
			verdict = conformance.NotTestable
		}
		if k.Verdict != verdict {
			t.Errorf("%s is %s, want %s: %s\n%s", k.ID, k.Verdict, verdict, k.Reason, strings.Join(k.Seen, "\n"))
		}
	}
	checkReport(t, r)
}

// san says whether a certificate has a name in one of its lists, by what it ends in.
func san(list []string, end string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.HasSuffix(s, end) })
}

// uris are the URIs of a certificate.
func uris(leaf *x509.Certificate) (all []string) {
	for _, u := range leaf.URIs {
		all = append(all, u.String())
	}
	return all
}

// sinners are elements with one sin each, and the cases that have to see it. There are others that see it too.
var sinners = []struct {
	name string
	sins sins
	fail []string
}{
	{"by address alone", sins{addressOnly: true}, []string{"5923-5-5", "5923-6-3", "5923-8.1-8", "5923-8.1-11", "5923-8.2-7", "5923-8.2-8", "5923-9.3-2"}},
	{"by a look-up of sent-by", sins{lookupSentBy: true}, []string{"5923-5-1"}},
	{"at any port", sins{anyPort: true}, []string{"5923-5-2", "5923-8.1-9", "5923-8.1-11", "5923-8.2-5", "5923-8.2-8"}},
	{"any transport in Via", sins{viaIgnored: true}, []string{"5923-5-3"}},
	{"one name only", sins{firstName: true}, []string{"5923-5-4"}},
	{"dials beside", sins{dialsBeside: true}, []string{"5923-6-1", "5923-9.3-2"}},
	{"dials from where it listens", sins{fromListenPort: true}, []string{"5923-6-2"}},
	{"aliases of nobody", sins{nobodyAliases: true}, []string{"5923-6-3", "5923-9.2-3", "5922-7.4-1"}},
	{"drops connections after each transaction", sins{dropsAfter: true}, []string{"5923-8.1-1", "5923-8.1-5", "5923-8.2-1"}},
	{"drops idle connections", sins{dropsIdle: true}, []string{"5923-6-4", "5923-8.1-3", "5923-8.2-1"}},
	{"an alias serves once", sins{onceOnly: true}, []string{"5923-6-4", "5923-6-5", "5923-8.2-2"}},
	{"alias in lower case", sins{lowerCaseAlias: true}, []string{"5923-7-1"}},
	{"offers no alias", sins{offersNone: true}, []string{"5923-7-1", "5923-8.1-2"}},
	{"takes no request where it dialed", sins{deafWhenDialed: true}, []string{"5923-8.1-4"}},
	{"dials for each request", sins{dialsAlways: true}, []string{"5923-8.1-5", "5923-8.1-10", "5923-8.1-12"}},
	{"stops listening", sins{listensOnce: true}, []string{"5923-8.1-6"}},
	{"believes every server", sins{anyServer: true}, []string{"5923-8.1-7", "5923-9.1-1", "5922-7.1-1", "5922-7.3-2"}},
	{"takes any connection to an address", sins{newestConn: true}, []string{"5923-8.1-10"}},
	{"keeps what is gone", sins{keepsGone: true}, []string{"5923-8.1-12", "5923-8.2-4", "5923-8.3-3"}},
	{"no new connection for CANCEL and ACK", sins{noAnew: true}, []string{"5923-8.1-13", "5923-8.1-14"}},
	{"rejects alias", sins{rejectsAlias: true}, []string{"5923-8.2-3", "5923-9.2-2"}},
	{"believes every client", sins{anyClient: true}, []string{"5923-8.2-6", "5923-9.2-4", "5922-7.1-1"}},
	{"alias without being asked", sins{aliasAnyway: true}, []string{"5923-8.2-9"}},
	{"drops answers on closing", sins{drops: true}, []string{"5923-8.3-4"}},
	{"asks for no certificate", sins{asksNot: true}, []string{"5923-9.2-1"}},
	{"alias over TCP", sins{plainAliases: true}, []string{"5923-9.3-1"}},
	{"one table for all", sins{oneTable: true}, []string{"5923-9.3-3", "5923-9.3-4"}},
	{"always the first server", sins{firstSRV: true}, []string{"5923-10-1"}},
	{"compares names from DNS", sins{srvName: true}, []string{"5922-7.3-1"}},
	{"leaves the wrong server open", sins{keepsOpen: true}, []string{"5922-7.3-2"}},
	{"its IP address in Record-Route", sins{routeByIP: true}, []string{"5922-7.5-1"}},
	{"no server_name", sins{noSNI: true}, []string{"5922-7.8-1"}},

	{"no extended key usage is wrong", sins{but: func(l *x509.Certificate) bool { return len(l.ExtKeyUsage)+len(l.UnknownExtKeyUsage) == 0 }}, []string{"5922-7.1-2"}},
	{"takes sips", sins{also: func(l *x509.Certificate, name string) bool { return san(uris(l), "sips:"+name) }}, []string{"5922-7.1-3"}},
	{"takes users", sins{also: func(l *x509.Certificate, name string) bool { return san(uris(l), "@"+name) }}, []string{"5922-7.1-4"}},
	{"wants DNS names", sins{but: func(l *x509.Certificate) bool { return len(l.DNSNames) == 0 && san(uris(l), "sip:a.check.test") }}, []string{"5922-7.1-5"}},
	{"DNS names always", sins{also: func(l *x509.Certificate, name string) bool { return san(l.DNSNames, name) }}, []string{"5922-7.1-6"}},
	{"CN always", sins{also: func(l *x509.Certificate, name string) bool { return l.Subject.CommonName == name }}, []string{"5922-7.1-7", "5923-8.1-8", "5923-8.2-7"}},
	{"compares whole URIs", sins{but: func(l *x509.Certificate) bool { return san(uris(l), "transport=tcp") }}, []string{"5922-7.2-1"}},
	{"compares capitals", sins{but: func(l *x509.Certificate) bool { return san(l.DNSNames, "A.CHECK.TEST") }}, []string{"5922-7.2-2"}},
	{"suffixes", sins{also: func(l *x509.Certificate, name string) bool {
		return san(l.DNSNames, "check.test") && len(l.DNSNames[0]) < len(name)
	}}, []string{"5922-7.2-3"}},
	{"wildcards", sins{also: func(l *x509.Certificate, _ string) bool { return san(l.DNSNames, "*.check.test") }}, []string{"5922-7.2-4"}},
}

// TestSinners holds that each case can fail: there is an element for each that it refuses.
func TestSinners(t *testing.T) {
	covered := slices.Clone(notFromOutside)
	for _, s := range sinners {
		covered = append(covered, s.fail...)
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			quoted := make([]string, len(s.fail))
			for i, id := range s.fail {
				quoted[i] = regexp.QuoteMeta(id)
			}
			r := probe(t, s.sins, "^("+strings.Join(quoted, "|")+")$")
			for _, k := range r.Cases {
				if k.Verdict != conformance.Failed {
					t.Errorf("%s is %s (%s), want failed\n%s", k.ID, k.Verdict, k.Reason, strings.Join(k.Seen, "\n"))
				}
			}
		})
	}
	for _, k := range conformance.Cases() {
		if !slices.Contains(covered, k.ID) {
			t.Errorf("no element shows that %s can fail", k.ID)
		}
	}
}

// checkReport writes a report in every form.
func checkReport(t *testing.T, r *conformance.Report) {
	t.Helper()
	var text, j, x bytes.Buffer
	for _, k := range r.Cases {
		if err := k.Write(&text, true, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.WriteSummary(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&j); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJUnit(&x); err != nil {
		t.Fatal(err)
	}
	var back conformance.Report
	if err := json.Unmarshal(j.Bytes(), &back); err != nil || back.Passed != r.Passed || len(back.Cases) != len(r.Cases) {
		t.Errorf("the JSON report does not come back: %v", err)
	}
	var suite struct {
		Tests   int `xml:"tests,attr"`
		Skipped int `xml:"skipped,attr"`
		Cases   []struct {
			Name string `xml:"name,attr"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(x.Bytes(), &suite); err != nil || suite.Tests != len(suite.Cases) || suite.Skipped != len(notFromOutside) {
		t.Errorf("the JUnit report has %+v: %v", suite, err)
	}
	if !strings.Contains(text.String(), " 0 failed, 3 not testable") {
		t.Errorf("the summary is\n%s", text.String()[max(0, text.Len()-200):])
	}
}

// TestLedger holds that the copy of the ledger is the ledger, where that is at hand, and that each clause of
// the RFCs has a case.
func TestLedger(t *testing.T) {
	var have, cases []string
	for _, c := range conformance.Ledger() {
		have = append(have, c.ID+"\t"+c.Level+"\t"+c.Side+"\t"+c.Requirement)
		if c.Specification() != "Seed" {
			cases = append(cases, c.ID)
		}
	}
	var run []string
	for _, k := range conformance.Cases() {
		run = append(run, k.ID)
	}
	slices.Sort(cases)
	slices.Sort(run)
	if !slices.Equal(cases, run) {
		t.Errorf("the cases are %v, and the clauses %v", run, cases)
	}
	tables, _ := filepath.Glob("../../shared/clauses/*.tsv")
	var original []string
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		original = append(original, strings.Split(strings.TrimSpace(string(text)), "\n")[1:]...)
	}
	slices.Sort(have)
	slices.Sort(original)
	if len(tables) > 0 && !slices.Equal(have, original) {
		t.Error("clauses.tsv differs from the ledger")
	}
}
