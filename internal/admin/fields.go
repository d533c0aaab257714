package admin

import (
	"slices"
	"strings"
)

// Fields are those of a list that it can be sorted by, and those that it can be filtered by, with the values that each of
// these may have; nil: any.
type Fields struct {
	Sorts   []string
	Filters map[string][]string
}

// FieldsOf returns the fields of the list at a path such as "/v1/connections", and false when there is no such list.
func FieldsOf(path string) (Fields, bool) {
	routes := new(Server).allRoutes() // they are looked at, and serve nobody
	i := slices.IndexFunc(routes, func(r route) bool {
		return r.path == path && slices.ContainsFunc(r.params, func(p parameter) bool { return p.name == "sort" })
	})
	if i < 0 {
		return Fields{}, false
	}
	f := Fields{Filters: make(map[string][]string)}
	for _, p := range routes[i].params {
		switch {
		case p.name == "sort":
			f.Sorts = slices.DeleteFunc(slices.Clone(p.words), func(w string) bool { return strings.HasPrefix(w, "-") })
		case !p.integer:
			f.Filters[p.name] = p.words
		}
	}
	return f, true
}
