package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// list is what an operator sees of one noun.
type list[T any] struct {
	path   string
	header string // of the table
	row    func(*T) []string
	after  func(io.Writer, []T) // what stands below the table; nil: nothing
}

// run asks for a page of the list and prints it; again and again when it is watched.
func (l *list[T]) run(o *operator, p *page) error {
	q, err := p.query()
	if err != nil {
		return err
	}
	if !p.Watch {
		var got api.Page[T]
		return o.get(l.path, q, &got, func() {
			width, _ := terminalSize(os.Stdout)
			l.show(os.Stdout, width, &got)
		})
	}
	c, ctx, stop, err := o.client()
	if err != nil {
		return err
	}
	defer stop()
	return o.watch(ctx, p.Every, func(ctx context.Context) ([]byte, error) {
		body, _, err := c.Get(ctx, l.path, q)
		return body, err
	}, func(body []byte, width int) (string, error) {
		var got api.Page[T]
		if err := json.Unmarshal(body, &got); err != nil {
			return "", err
		}
		var b strings.Builder
		l.show(&b, width, &got)
		return b.String(), nil
	})
}

// show writes a page.
func (l *list[T]) show(w io.Writer, width int, got *api.Page[T]) {
	rows := make([][]string, len(got.Items))
	for i := range got.Items {
		rows[i] = l.row(&got.Items[i])
	}
	writeTable(w, width, l.header, rows)
	if got.Offset+len(got.Items) < got.Total || got.Offset > 0 {
		_, _ = fmt.Fprintf(w, "%d of %d\n", len(got.Items), got.Total)
	}
	if l.after != nil {
		l.after(w, got.Items)
	}
}

// watcher shows the same thing again and again.
type watcher struct {
	o             *operator
	out           *os.File
	width, height int    // of the terminal; 0: it is none
	last          string // what was shown last
	gone          bool   // nobody answers
}

// watch asks, shows what comes, and asks again after a while, until a signal ends it. A proxy that does not answer is
// waited for; any other failure is returned.
func (o *operator) watch(ctx context.Context, every time.Duration, ask func(context.Context) ([]byte, error), text func([]byte, int) (string, error)) error {
	w := &watcher{o: o, out: os.Stdout}
	defer w.end()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if !o.JSON {
			w.begin()
		}
		body, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, api.ErrUnreachable):
			w.lost(err)
		case err != nil:
			return o.plainly(err)
		default:
			if err := w.show(body, text); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// What a terminal is told.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l" // and no cursor
	firstScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	restOfLine  = "\x1b[K"
	restBelow   = "\x1b[J"
)

// begin looks how large the terminal is now.
func (w *watcher) begin() {
	was := w.width
	w.width, w.height = terminalSize(w.out)
	if was == 0 && w.width > 0 {
		_, _ = w.out.WriteString(otherScreen)
	}
}

// end leaves what was shown last where other commands leave what they print.
func (w *watcher) end() {
	if w.width > 0 {
		_, _ = w.out.WriteString(firstScreen + w.last)
	}
}

// show shows an answer.
func (w *watcher) show(body []byte, text func([]byte, int) (string, error)) error {
	if w.gone {
		w.gone = false
		if w.width == 0 {
			fmt.Fprintln(os.Stderr, "it answers again")
		}
	}
	if w.o.JSON {
		var b bytes.Buffer
		if err := json.Compact(&b, body); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err := w.out.Write(b.Bytes())
		return err
	}
	t, err := text(body, w.width)
	if err != nil {
		return err
	}
	w.last = t
	return w.draw("")
}

// lost says that nobody answers: in a terminal above what was last known, else once on standard error.
func (w *watcher) lost(err error) {
	said := strings.TrimPrefix(err.Error(), "api: ")
	if w.width > 0 {
		_ = w.draw(said + "; trying again")
	} else if !w.gone {
		fmt.Fprintln(os.Stderr, said+"; trying again")
	}
	w.gone = true
}

// draw puts what is known on the screen, or prints it below what was printed before.
func (w *watcher) draw(trouble string) error {
	if w.width == 0 {
		_, err := w.out.WriteString(w.last + "\n")
		return err
	}
	lines := []string{cut(fmt.Sprintf("%s  %s  (Ctrl-C ends)", w.o.Admin, time.Now().Format(time.TimeOnly)), w.width)}
	if trouble != "" {
		lines = append(lines, cut(whole(trouble), w.width), "What was known last:")
	}
	lines = append(lines, "")
	lines = append(lines, strings.Split(strings.TrimRight(w.last, "\n"), "\n")...)
	if more := len(lines) - w.height; more > 0 {
		lines = append(lines[:w.height-1], fmt.Sprintf("... %d more lines", more+1))
	}
	_, err := w.out.WriteString(home + strings.Join(lines, restOfLine+"\r\n") + restOfLine + restBelow)
	return err
}
