package admin

import (
	"net/http"
	"strconv"

	"github.com/tandem-sip/tandem/internal/dashboard"
)

// pageOf returns the file of the web page that a request asks for, and false when it asks for something else. The page
// says nothing about this process: it is served to who may not ask yet, so that it can ask for the token.
func (s *Server) pageOf(r *http.Request) (dashboard.File, bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return dashboard.File{}, false
	}
	f, ok := s.page[r.URL.Path]
	return f, ok
}

// servePage answers with a file of the page.
func servePage(w http.ResponseWriter, f dashboard.File) {
	h := w.Header()
	h.Set("Content-Security-Policy", dashboard.Policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Type", f.Media)
	h.Set("Content-Length", strconv.Itoa(len(f.Data)))
	_, _ = w.Write(f.Data) // whoever does not take it has gone
}
