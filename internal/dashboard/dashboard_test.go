package dashboard

import (
	"regexp"
	"strings"
	"testing"
)

// outside finds what leads away from the page: another host, or a script or style inside of it.
var outside = regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]+[.:]|\bimport\(|@import|url\(|<script(?: [^>]*)?>[^<]|<style|style="|\son[a-z]+="`)

// markup finds what would read text as markup, or as a program.
var markup = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc|createContextualFragment|setHTML`)

// imported finds the modules that a module loads.
var imported = regexp.MustCompile(`(?m)^import .* from "(.*)";$|^import "(.*)";$`)

// TestFiles: the page has no other host, no script inside of it, and nothing that reads markup; what it loads is there.
func TestFiles(t *testing.T) {
	t.Parallel()
	files := Files()
	loaded := map[string]bool{"/": true, "/page/icon.svg": true}
	total := 0
	for path, f := range files {
		text := string(f.Data)
		total += len(f.Data)
		if f.Media == "" {
			t.Errorf("%s has no media type", path)
		}
		for _, found := range outside.FindAllString(text, -1) {
			if strings.HasSuffix(path, ".svg") || strings.Contains(text, `"http://www.w3.org/2000/svg"`) && strings.HasPrefix(found, "http://www.") || found == "url(" && strings.HasSuffix(path, ".js") {
				continue // the name of SVG's vocabulary, and references inside of a drawing
			}
			t.Errorf("%s leads out: %q", path, found)
		}
		if found := markup.FindString(text); found != "" {
			t.Errorf("%s reads markup: %s", path, found)
		}
		for _, m := range imported.FindAllStringSubmatch(text, -1) {
			loaded["/page/"+strings.TrimPrefix(m[1]+m[2], "./")] = true
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(text, -1) {
			loaded[m[1]] = true
		}
	}
	for path := range loaded {
		if _, ok := files[path]; !ok {
			t.Errorf("%s is loaded and is not there", path)
		}
	}
	for path := range files {
		if !loaded[path] {
			t.Errorf("%s is never loaded", path)
		}
	}
	if total > 200<<10 {
		t.Errorf("the page has %d bytes", total)
	}
}
