package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// watchInterval is how often the alias tables are looked at after the calls.
const watchInterval = time.Second

// Run builds the figure, places the calls, writes the result to out (as JSON when asked to), and, unless
// Once is set, keeps the proxies up and shows the alias tables as they change, until ctx is done. The
// error is the result's when calls failed.
func Run(ctx context.Context, opts Options, out io.Writer, asJSON bool) (*Result, error) {
	l, err := Start(opts)
	if err != nil {
		return nil, err
	}
	for _, at := range l.Dashboards() {
		_, _ = fmt.Fprintf(l.opts.Progress, "  The dashboard of %s\n", at)
	}
	r, err := l.Call(ctx)
	if err == nil {
		err = r.write(out, asJSON)
	}
	if err == nil && !l.opts.Once {
		err = l.watch(ctx, out, asJSON)
	}
	err = errors.Join(err, l.Close())
	if err == nil {
		err = r.Err()
	}
	return r, err
}

func (r *Result) write(out io.Writer, asJSON bool) error {
	if !asJSON {
		return r.WriteText(out)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// watch shows the alias tables whenever they have changed, until ctx is done.
func (l *Lab) watch(ctx context.Context, out io.Writer, quiet bool) error {
	show := func(rows []Row) string {
		var b strings.Builder
		writeTables(&b, rows)
		return b.String()
	}
	last := show(l.Rows())
	if !quiet {
		_, _ = fmt.Fprintf(out, "  The proxies stay up; press Ctrl-C to end. Settings and certificates are in %s\n", l.dir)
		for _, at := range l.Dashboards() {
			_, _ = fmt.Fprintf(out, "  The dashboard of %s\n", at)
		}
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if err := l.Err(); err != nil {
				return err
			}
			text := show(l.Rows())
			if text == last || quiet {
				continue
			}
			last = text
			if _, err := fmt.Fprintf(out, "\n  %s\n%s", now.Format(time.TimeOnly), text); err != nil {
				return err
			}
		}
	}
}
