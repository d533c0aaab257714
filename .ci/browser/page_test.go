package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one chromium for all tests.
var browser context.Context

// TestMain starts the browser and ends it.
func TestMain(m *testing.M) {
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	var end context.CancelFunc
	browser, end = chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}))
	code := 1
	if err := chromedp.Run(browser); err != nil {
		fmt.Fprintln(os.Stderr, "chromium does not start:", err)
	} else {
		code = m.Run()
	}
	end()
	stop()
	os.Exit(code)
}

// page is one tab.
type page struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex // mu guards the fields below
	errors   []string   // that the console, a script or the policy told of
	expected []string   // parts of those that are no failure
}

// size is of the window; phone is one that is narrow.
type size struct{ width, height int64 }

var (
	desk  = size{1360, 900}
	phone = size{390, 844}
)

// open opens a tab at an address. What goes wrong in it fails the test.
func open(t testing.TB, url string, s size, theme string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	ctx, stop := context.WithTimeout(ctx, 60*time.Second)
	p := &page{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			p.note("exception: " + e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				for _, a := range e.Args {
					p.note(fmt.Sprintf("console: %s %s", a.Value, a.Description))
				}
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
				p.note(fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
			}
		}
	})
	t.Cleanup(func() {
		stop()
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, text := range p.errors {
			t.Error(text)
		}
	})
	// A tab that is not in front draws nothing.
	p.do(cdppage.BringToFront(), emulation.SetFocusEmulationEnabled(true), log.Enable(), runtime.Enable(), emulation.SetDeviceMetricsOverride(s.width, s.height, 1, s == phone),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		chromedp.Navigate(url))
	return p
}

func (p *page) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range p.expected {
		if strings.Contains(text, part) {
			return
		}
	}
	p.errors = append(p.errors, text)
}

// expect says that what has a text in it is no failure.
func (p *page) expect(parts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, parts...)
}

func (p *page) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// eval returns the value of an expression.
func eval[T any](p *page, expression string) (v T) {
	p.t.Helper()
	p.do(chromedp.Evaluate(expression, &v))
	return v
}

// until waits until an expression is true. chromedp.Poll would evaluate it inside of the page, whose policy does not allow
// that.
func (p *page) until(expression string) {
	p.t.Helper()
	tick, end := time.NewTicker(50*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for !eval[bool](p, "Boolean("+expression+")") {
		select {
		case <-tick.C:
		case <-end.C:
			p.t.Fatalf("not so within 20 s: %s\nthe page says:\n%s", expression, eval[string](p, `document.body.innerText.slice(0, 1500)`))
		}
	}
}

// has waits for a text in what is shown.
func (p *page) has(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// view shows another view.
func (p *page) view(path string) {
	p.t.Helper()
	p.do(chromedp.Evaluate(fmt.Sprintf("location.hash = %q", "#/"+path), nil))
}

// shot writes a picture of the page when SCREENSHOTS is set.
func (p *page) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	p.do(chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// audit looks for what people cannot read: text with too little contrast, and a page wider than the window.
func (p *page) audit(name string) {
	p.t.Helper()
	for _, text := range eval[[]string](p, auditScript) {
		p.t.Errorf("%s: %s", name, text)
	}
}

// auditScript lists what WCAG 2.2 AA does not allow about contrast (1.4.3), names (4.1.2) and reflow (1.4.10).
const auditScript = `(() => {
	const found = new Set();
	const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const rgba = (color) => {
		context.clearRect(0, 0, 1, 1);
		context.fillStyle = color;
		context.fillRect(0, 0, 1, 1);
		return context.getImageData(0, 0, 1, 1).data;
	};
	const light = (c) => {
		const [r, g, b] = [0, 1, 2].map((i) => { const v = c[i] / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (el) => {
		for (; el; el = el.parentElement) {
			const c = rgba(getComputedStyle(el).backgroundColor);
			if (c[3] > 250) return c;
		}
		return rgba(getComputedStyle(document.documentElement).backgroundColor);
	};
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let node; (node = walker.nextNode());) {
		const el = node.parentElement;
		if (!node.data.trim() || !el.checkVisibility() || el.closest(".hidden, .skip, noscript, title, :disabled")) continue;
		const style = getComputedStyle(el);
		const [a, b] = [light(rgba(el instanceof SVGElement ? style.fill : style.color)), light(behind(el))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
		if (ratio < (large ? 3 : 4.5)) found.add("contrast " + ratio.toFixed(2) + " of " + JSON.stringify(node.data.trim().slice(0, 40)));
	}
	if (document.documentElement.scrollWidth > innerWidth) {
		const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName + "." + e.getAttribute("class"));
		found.add("the page is " + document.documentElement.scrollWidth + " px wide and the window " + innerWidth + ": " + wide.slice(0, 4));
	}
	for (const el of document.querySelectorAll("button, a, input, select, [role=button]")) {
		if (!el.checkVisibility()) continue;
		const name = el.getAttribute("aria-label") || el.textContent.trim() || el.labels?.[0]?.textContent;
		if (!name) found.add("no name: " + el.outerHTML.slice(0, 80));
	}
	if (document.querySelectorAll("h1").length !== 1) found.add("the page has not one heading");
	return [...found];
})()`
