package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// Sizes of a page.
const (
	usualPage = 100
	maxPage   = 10_000
	maxOffset = 10_000_000
)

// column is a field that a list can be sorted by, filtered by, or both.
type column[T any] struct {
	name    string
	compare func(a, b *T) int // nil: not sorted by
	text    func(*T) []string // nil: not filtered by; an item passes when one of these is what is asked for
	words   []string          // that the filter takes; nil: any
}

// byText is a column of texts.
func byText[T any](name string, text func(*T) string, words ...string) column[T] {
	return column[T]{name, func(a, b *T) int { return strings.Compare(text(a), text(b)) }, func(t *T) []string { return []string{text(t)} }, words}
}

// byNumber is a column that is sorted by only.
func byNumber[T any, N cmp.Ordered](name string, number func(*T) N) column[T] {
	return column[T]{name: name, compare: func(a, b *T) int { return cmp.Compare(number(a), number(b)) }}
}

// byTime is a column of times, nil ones last.
func byTime[T any](name string, at func(*T) *time.Time) column[T] {
	return column[T]{name: name, compare: func(a, b *T) int {
		x, y := at(a), at(b)
		switch {
		case x == nil && y == nil:
			return 0
		case x == nil:
			return 1
		case y == nil:
			return -1
		}
		return x.Compare(*y)
	}}
}

// listRoute makes the route of a list. The items come in the order that is the default.
func listRoute[T any](path, summary string, columns []column[T], items func() []T) route {
	var sorts []string
	filters := []parameter{}
	for _, c := range columns {
		if c.compare != nil {
			sorts = append(sorts, c.name, "-"+c.name)
		}
		if c.text != nil {
			filters = append(filters, parameter{name: c.name, doc: "only those with this value", words: c.words})
		}
	}
	params := append([]parameter{
		{name: "sort", doc: "the field to sort by; with - before it the other way round", words: sorts},
		{name: "limit", doc: "how many are given at most, up to 10000; 100 by default", integer: true},
		{name: "offset", doc: "how many are left out before the first", integer: true},
	}, filters...)
	return route{method: http.MethodGet, path: path, summary: summary, params: params, answers: api.Page[T]{},
		serve: func(w http.ResponseWriter, r *http.Request, _ args) *failure {
			page, f := list(r, columns, items)
			if f == nil {
				writeJSON(w, http.StatusOK, page)
			}
			return f
		}}
}

// list filters, sorts and cuts.
func list[T any](r *http.Request, columns []column[T], items func() []T) (*api.Page[T], *failure) {
	limit, f := number(r, "limit", usualPage, 0, maxPage)
	if f != nil {
		return nil, f
	}
	offset, f := number(r, "offset", 0, 0, maxOffset)
	if f != nil {
		return nil, f
	}
	all, query := items(), r.URL.Query()
	for _, c := range columns {
		if c.text == nil || !query.Has(c.name) {
			continue
		}
		want := query.Get(c.name)
		all = slices.DeleteFunc(all, func(t T) bool { return !slices.Contains(c.text(&t), want) })
	}
	if by, down := strings.CutPrefix(query.Get("sort"), "-"); by != "" {
		for _, c := range columns {
			if c.name != by || c.compare == nil {
				continue
			}
			slices.SortStableFunc(all, func(a, b T) int {
				if down {
					return c.compare(&b, &a)
				}
				return c.compare(&a, &b)
			})
		}
	}
	page := &api.Page[T]{Items: []T{}, Total: len(all), Offset: offset, Limit: limit}
	if offset < len(all) {
		page.Items = append(page.Items, all[offset:min(len(all), offset+limit)]...)
	}
	return page, nil
}
