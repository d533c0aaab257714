package browser

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hostile is a Call-ID of nothing but what RFC 3261 allows in one, and a program if it is read as markup.
const hostile = `<script>pwned()</script><img/src/onerror>"'@x`

// place sends an INVITE to the lab's first proxy, as one of its agents would.
func place(t testing.TB, page, callID string) {
	t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(page, "http://"), ":8060/")
	agent := regexp.MustCompile(`\d+$`).ReplaceAllStringFunc(host, func(string) string { return "21" })
	from, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(agent)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	at := from.LocalAddr().String()
	text := strings.Join([]string{
		"INVITE sip:alice0@example.net SIP/2.0", "Via: SIP/2.0/UDP " + at + ";branch=z9hG4bKx" + fmt.Sprint(time.Now().UnixNano()), "Max-Forwards: 70",
		`From: "<b>Eve</b>" <sip:eve@example.com>;tag=1`, "To: <sip:alice0@example.net>", "Call-ID: " + callID, "CSeq: 1 INVITE", "Contact: <sip:eve@" + at + ">", "Content-Length: 0", "", "",
	}, "\r\n")
	if _, err := from.WriteToUDP([]byte(text), &net.UDPAddr{IP: net.ParseIP(host), Port: 5060}); err != nil {
		t.Fatal(err)
	}
}

// TestCall: a connection is closed by hand, which empties the views; a call that is then placed shows in each of them, and what
// its caller wrote stays text.
func TestCall(t *testing.T) {
	run, at := lab(t, "--calls", "1")
	run.says("The proxies stay up|1 of 1, backward 1 of 1")
	p := open(t, at, desk, "light")
	p.view("connections")
	p.until(`document.querySelector("button.open")`)
	id := eval[string](p, `document.querySelector("button.open").dataset.id`)
	p.do(chromedp.Evaluate(`document.querySelector("button.open").click()`, nil))
	p.until(`document.querySelector("[data-verb=close]")`)
	p.do(chromedp.Evaluate(`document.querySelector("[data-verb=close]").click()`, nil))
	p.has("Close connection " + id)
	p.expect("404") // the browser tells that the connection is gone
	p.do(chromedp.Evaluate(`document.querySelector("[data-sure=close]").click()`, nil))
	p.has("the closure alert is on its way.")
	p.has("This connection is gone.")
	p.do(chromedp.Evaluate(`document.querySelector("dialog").close()`, nil))
	p.has("No connection is open.")
	p.view("aliases")
	p.has("There are no alias rows.")
	p.shot("empty-aliases")

	place(t, at, hostile)
	p.until(`document.querySelector(".sizer .vrow:not(.waiting)")?.textContent.includes("example.net")`)
	p.view("connections")
	p.until(fmt.Sprintf(`Number(document.querySelector("button.open")?.dataset.id) > %s`, id))
	p.view("")
	p.until(`document.querySelector(".bars")?.textContent.includes("no_row")`)
	p.view("peers")
	p.until(`document.querySelector("path.edge:not(li path)")`)
	p.view("calls?q=" + url.QueryEscape(hostile))
	p.until(fmt.Sprintf(`document.querySelector("button.open[data-call]")?.dataset.call === %q`, hostile))
	p.do(chromedp.Evaluate(`document.querySelector("button.open[data-call]").click()`, nil))
	p.until(`document.querySelectorAll(".arrow-row").length >= 2`)
	p.until(`[...document.querySelectorAll(".over")].some((e) => e.textContent.includes("no_row"))`)
	p.do(chromedp.Evaluate(`document.querySelector(".arrow-row").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}))`, nil))
	p.until(`document.querySelector("pre").textContent.includes('"<b>Eve</b>"')`)
	p.until(fmt.Sprintf(`document.querySelector("h2").textContent === %q`, hostile))
	p.audit("a hostile call")
	if found := eval[int](p, `document.querySelectorAll("main script, main img, main b").length`); found != 0 {
		t.Errorf("%d elements were made of what the caller wrote", found)
	}
	p.shot("hostile-call")
	p.do(chromedp.SendKeys("#q", "eve"+kb.Enter))
	p.until(`location.hash === "#/calls?q=eve" && document.querySelector("button.open[data-call]")`)
}

// TestGone: the page says when the proxy is gone, and goes on when there is one again.
func TestGone(t *testing.T) {
	a := newAuthority(t, t.TempDir())
	a.domain("example.com", 5)
	file, ports := a.config("tandem.yaml", "listen: [udp://127.0.0.1:0]\nadmin: 127.0.0.1:PORT1\ntrust: {ca: [ca.pem]}\ndomains: [{name: example.com, certificate: example.com.pem, key: example.com.key}]\n")
	run := start(t, "serve", "--config", file)
	run.says("msg=serving")
	p := open(t, "http://127.0.0.1:"+ports[0]+"/", desk, "light")
	p.expect("ERR_", "Failed to load resource", "net::")
	p.until(`document.querySelector("#link").textContent === "serving"`)
	p.view("certificates")
	p.has("renew now")
	p.has("5 days")
	p.shot("certificates-soon")
	run.kill()
	p.until(`!document.querySelector("#down").hidden && document.querySelector("#link").textContent === "no answer"`)
	p.has("The proxy does not answer.")
	p.audit("the proxy is gone")
	p.shot("gone")
	p.view("aliases")
	p.until(`document.querySelector("h1").textContent === "Alias table"`)
	run = start(t, "serve", "--config", file)
	run.says("msg=serving")
	p.until(`document.querySelector("#down").hidden && document.querySelector("#link").textContent === "serving"`)
	p.has("There are no alias rows.")
}

// TestToken: where a token is wanted the page asks for it, says when it is wrong, and keeps it for the tab.
func TestToken(t *testing.T) {
	a := newAuthority(t, t.TempDir())
	a.write("admin.token", []byte("0123456789abcdef0123456789abcdef\n"))
	file, ports := a.config("tandem.yaml", "listen: [udp://127.0.0.1:0]\nadmin: {listen: \"127.0.0.1:PORT1\", token_file: admin.token}\n")
	start(t, "serve", "--config", file).says("msg=serving")
	p := open(t, "http://127.0.0.1:"+ports[0]+"/", phone, "dark")
	p.expect("401")
	p.has("This admin API asks for a token")
	p.audit("the question for a token")
	p.shot("token")
	p.do(chromedp.SendKeys("#token", "wrong"+kb.Enter))
	p.has("That token is not the right one.")
	p.do(chromedp.SendKeys("#token", "0123456789abcdef0123456789abcdef"+kb.Enter))
	p.until(`document.querySelector("#link").textContent === "serving" && !document.querySelector("dialog")`)
	p.do(chromedp.Reload())
	p.until(`document.querySelector("#link").textContent === "serving" && !document.querySelector("dialog")`)
}

// TestPeers: of each peer that fails the page names the cause and the mend.
func TestPeers(t *testing.T) {
	a := newAuthority(t, t.TempDir())
	for _, name := range []string{"example.com", "partner.example"} {
		a.domain(name, 200)
	}
	a.domain("expired.example", -2)
	far := func(host, name string) int {
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := tls.Listen("tcp", host+":0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		// Ends when the listener is closed; what reads a connection, when the other side closes it.
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, c)
			}
		}()
		return l.Addr().(*net.TCPAddr).Port
	}
	file, ports := a.config("tandem.yaml", fmt.Sprintf(`
listen: [udp://127.0.0.1:0, tls://127.0.0.1:PORT2]
admin: 127.0.0.1:PORT1
dns: [127.0.0.1:1]
trust: {ca: [ca.pem]}
domains: [{name: example.com, certificate: example.com.pem, key: example.com.key}]
peers:
  - {name: partner, identities: [partner.example], addresses: [127.0.0.1/32], reference_identity: partner.example, connect: ["sip:127.0.0.1:%d;transport=tls"]}
  - {name: wrong name, identities: [other.example], addresses: [127.0.0.2/32], reference_identity: other.example, connect: ["sip:127.0.0.2:%d;transport=tls"]}
  - {name: expired, identities: [expired.example], addresses: [127.0.0.3/32], reference_identity: expired.example, connect: ["sip:127.0.0.3:%d;transport=tls"]}
  - {name: down, identities: [down.example], addresses: [127.0.0.4/32], reference_identity: down.example, connect: ["sip:127.0.0.4:1;transport=tls"]}
  - {name: nowhere, identities: [nowhere.example], connect: ["sips:nowhere.example"]}
  - {name: idle, identities: [idle.example]}
`, far("127.0.0.1", "partner.example"), far("127.0.0.2", "partner.example"), far("127.0.0.3", "expired.example")))
	start(t, "serve", "--config", file).says("msg=serving")
	p := open(t, "http://127.0.0.1:"+ports[0]+"/#/peers", desk, "light")
	p.until(`document.querySelectorAll(".peer.failing").length === 4 && document.querySelectorAll(".edge.bad").length === 5`) // one in the legend
	for _, c := range [][3]string{
		{"down", "refused the connection", "nothing listens there"},
		{"wrong name", "the identities partner.example", "certificate with the name that is wanted"},
		{"expired", "it ended on", "renew its certificate"},
		{"nowhere", "DNS failed", "DNS servers answer"},
	} {
		text := eval[string](p, fmt.Sprintf(`document.querySelector("[data-key='p %s']").innerText`, c[0]))
		if !strings.Contains(text, "Cause: ") || !strings.Contains(text, c[1]) || !strings.Contains(text, "Mend: ") || !strings.Contains(text, c[2]) {
			t.Errorf("%s: %s", c[0], text)
		}
	}
	p.until(`document.querySelector("[data-key='p partner']").textContent.includes("1 dialed")`)
	p.audit("peers that fail")
	p.shot("peers-failing")
	p2 := open(t, "http://127.0.0.1:"+ports[0]+"/#/peers", phone, "dark")
	p2.until(`document.querySelectorAll(".peer.failing").length === 4`)
	p2.audit("peers that fail, on a phone")
	p2.shot("peers-failing-phone")
}

// TestKeyboard: everything can be reached and done without a pointer, and the focus can be seen.
func TestKeyboard(t *testing.T) {
	run, at := lab(t, "--calls", "3")
	run.says("3 of 3, backward 3 of 3|stay up")
	p := open(t, at, desk, "light")
	p.until(`document.querySelectorAll("#nav a").length === 7`)
	press := func(key string) {
		t.Helper()
		p.do(chromedp.KeyEvent(key))
	}
	press(kb.Tab)
	p.until(`document.activeElement.matches(".skip") && document.activeElement.getBoundingClientRect().top >= 0`)
	press(kb.Enter)
	p.until(`document.activeElement.id === "main"`)
	p.do(chromedp.Evaluate(`document.activeElement.blur(); document.querySelector(".brand").focus()`, nil))
	seen := map[string]bool{}
	for range 14 {
		press(kb.Tab)
		seen[eval[string](p, `document.activeElement.id || document.activeElement.dataset.view || document.activeElement.textContent`)] = true
		if !eval[bool](p, `parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2`) {
			t.Errorf("the focus cannot be seen: %s", eval[string](p, `document.activeElement.outerHTML.slice(0, 120)`))
		}
	}
	for _, want := range []string{"q", "theme", "aliases", "explain", "Find"} {
		if !seen[want] {
			t.Errorf("%s is not reached by the tabulator: %v", want, seen)
		}
	}
	p.do(chromedp.Evaluate(`document.querySelector("#nav [data-view=connections]").focus()`, nil))
	press(kb.Enter)
	p.until(`document.activeElement.matches("h1") && document.querySelector("button.open")`)
	p.do(chromedp.Evaluate(`document.querySelector(".sort").focus()`, nil))
	press(kb.Enter)
	p.until(`document.querySelector("[role=columnheader]").getAttribute("aria-sort") === "ascending"`)
	press(kb.Enter)
	p.until(`document.querySelector("[role=columnheader]").getAttribute("aria-sort") === "descending" && document.querySelector("button.open")`)
	p.do(chromedp.Evaluate(`document.querySelector("button.open").focus()`, nil))
	p.do(chromedp.Sleep(1500 * time.Millisecond)) // a refresh does not take the focus away
	if !eval[bool](p, `document.activeElement.matches("button.open")`) {
		t.Error("a refresh took the focus")
	}
	press(kb.Enter)
	p.until(`document.querySelector("dialog[open] [data-verb=drain]")`)
	for range 4 {
		press(kb.Tab)
		if !eval[bool](p, `Boolean(document.activeElement.closest("dialog")) || document.activeElement === document.body`) {
			t.Error("the focus leaves the dialog")
		}
	}
	press(kb.Escape)
	p.until(`!document.querySelector("dialog") && document.activeElement.matches("button.open")`)
	p.do(chromedp.Evaluate(`location.hash = "#/"`, nil))
	p.until(`document.querySelector(".plot path.line")`)
	p.do(chromedp.Evaluate(`document.querySelector(".plot").focus()`, nil))
	press(kb.ArrowLeft)
	p.until(`document.querySelector(".cursor")`)

	// The switch of the theme.
	p.do(chromedp.Evaluate(`document.querySelector("#theme").focus()`, nil))
	light := eval[string](p, `getComputedStyle(document.body).backgroundColor`)
	press(kb.Enter)
	press(kb.Enter)
	if dark := eval[string](p, `getComputedStyle(document.body).backgroundColor + document.documentElement.dataset.theme`); dark == light+"dark" || !strings.HasSuffix(dark, "dark") {
		t.Errorf("the theme does not change: %s, %s", light, dark)
	}
}
