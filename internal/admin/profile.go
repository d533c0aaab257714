package admin

import (
	"net/http"
	"net/http/pprof"
	"strconv"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// maxProfile is how long a profile or a trace may be taken for, in seconds.
const maxProfile = 300

// profileRoutes serve what `go tool pprof` and `go tool trace` ask for.
func profileRoutes() []route {
	const media = "application/octet-stream"
	plain := func(h http.HandlerFunc) func(http.ResponseWriter, *http.Request, args) *failure {
		return func(w http.ResponseWriter, r *http.Request, _ args) *failure {
			if text := r.URL.Query().Get("seconds"); text != "" {
				if n, err := strconv.ParseFloat(text, 64); err != nil || !(n >= 0 && n <= maxProfile) {
					return refuse(http.StatusBadRequest, api.BadRequest, "seconds is a number from 0 to "+strconv.Itoa(maxProfile))
				}
			}
			h(w, r)
			return nil
		}
	}
	return []route{
		{method: http.MethodGet, path: "/debug/pprof/", summary: "The profiles that can be taken.", media: "text/html", serve: plain(pprof.Index)},
		{method: http.MethodGet, path: "/debug/pprof/cmdline", summary: "The command line of the process.", media: "text/plain", serve: plain(pprof.Cmdline)},
		{method: http.MethodGet, path: "/debug/pprof/profile", summary: "A profile of the processor's time, of `seconds`.", media: media, serve: plain(pprof.Profile)},
		{method: http.MethodGet, path: "/debug/pprof/trace", summary: "A trace of the execution, of `seconds`.", media: media, serve: plain(pprof.Trace)},
		{method: http.MethodGet, path: "/debug/pprof/symbol", summary: "Names of addresses in the program.", media: "text/plain", serve: plain(pprof.Symbol)},
		{method: http.MethodPost, path: "/debug/pprof/symbol", summary: "Names of addresses in the program.", media: "text/plain", serve: plain(pprof.Symbol)},
		// Index shows any other profile by its name: allocs, block, goroutine, heap, mutex, threadcreate.
		{method: http.MethodGet, path: "/debug/pprof/{profile}", summary: "One of the other profiles.", media: media, serve: plain(pprof.Index)},
	}
}
