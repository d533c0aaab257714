package browser

import (
	"strings"
	"testing"
)

// views are the views with what each shows when the lab places calls.
var views = []struct{ path, ready string }{
	{"", `document.querySelector(".bars li") && document.querySelectorAll(".plot path.line").length > 6`},
	{"aliases", `document.querySelector(".sizer .vrow:not(.waiting)")`},
	{"peers", `document.querySelector(".map-lines path.edge")`},
	{"connections", `document.querySelector(".sizer .vrow:not(.waiting)")`},
	{"calls", `document.querySelectorAll(".sizer .vrow:not(.waiting)").length > 5`},
	{"certificates", `document.querySelectorAll(".sizer .vrow:not(.waiting)").length > 1`},
	{"explain?uri=sips%3Abob%40example.net", `document.querySelector(".would")`},
}

// lab runs a lab whose calls go on, and returns the address of the first proxy's page.
func lab(t testing.TB, args ...string) (*process, string) {
	t.Helper()
	p := start(t, append([]string{"lab"}, args...)...)
	return p, p.says(`The dashboard of p1\.example\.com: (http://\S+)`)[0][1]
}

// TestViews: each view shows what there is under load, in both themes and on a phone, without an error, readable, and no
// wider than the window.
func TestViews(t *testing.T) {
	_, at := lab(t, "--calls", "100000", "--rate", "60")
	for _, c := range []struct {
		name, theme string
		size        size
	}{{"light", "light", desk}, {"dark", "dark", desk}, {"phone", "light", phone}, {"phone-dark", "dark", phone}} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, at, c.size, c.theme)
			for _, v := range views {
				p.view(v.path)
				p.until(v.ready)
				name, _, _ := strings.Cut(v.path, "?")
				if name == "" {
					name = "overview"
				}
				p.audit(name)
				p.shot(c.name + "-" + name)
				if name == "calls" {
					p.until(`document.querySelector("button.open[data-call]").click() ?? true`)
					p.until(`document.querySelectorAll(".arrow-row").length > 5`)
					p.until(`(document.querySelector(".arrow-row").dispatchEvent(new MouseEvent("click")), document.querySelector("pre")?.textContent.includes("SIP/2.0"))`)
					p.audit("ladder")
					p.shot(c.name + "-ladder")
				}
				if name == "connections" {
					p.until(`(document.querySelector("button.open").click(), true)`)
					p.until(`document.querySelector("dialog .facts") !== null`)
					p.audit("one connection")
					p.shot(c.name + "-connection")
				}
			}
		})
	}
}
