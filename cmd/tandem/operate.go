package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// operator is what every command has that asks a running proxy.
type operator struct {
	Admin     string `default:"127.0.0.1:8060" env:"TANDEM_ADMIN" placeholder:"ADDR" help:"The admin API: an address with a port, or a URL (${default})."`
	TokenFile string `env:"TANDEM_TOKEN_FILE" placeholder:"FILE" help:"The token to show."`
	CA        string `name:"ca" placeholder:"FILE" help:"The authorities of the admin API's certificate. Default: the system's."`
	Cert      string `placeholder:"FILE" help:"A client certificate to show."`
	Key       string `placeholder:"FILE" help:"Its key."`
	JSON      bool   `name:"json" help:"Print the answer as JSON."`
}

// client makes the client, and a context that a signal ends.
func (o *operator) client() (*api.Client, context.Context, context.CancelFunc, error) {
	cfg := api.ClientConfig{Address: o.Admin, CA: o.CA, Certificate: o.Cert, Key: o.Key}
	if o.TokenFile != "" {
		token, err := os.ReadFile(o.TokenFile)
		if err != nil {
			return nil, nil, nil, &usageError{err}
		}
		cfg.Token = strings.TrimSpace(string(token))
	}
	c, err := api.NewClient(cfg)
	if err != nil {
		return nil, nil, nil, &usageError{err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	return c, ctx, stop, nil
}

// usageError is a flag that cannot be used.
type usageError struct{ err error }

// Error returns what is wrong, without the room's name.
func (e *usageError) Error() string { return strings.TrimPrefix(e.err.Error(), "api: ") }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.err }

// plainly puts an error of the API into words for a terminal.
func (o *operator) plainly(err error) error {
	var refused *api.Error
	switch {
	case errors.Is(err, api.ErrUnreachable):
		return fmt.Errorf("%s: is `tandem serve` running, with `admin` in its configuration? --admin says where", strings.TrimPrefix(err.Error(), "api: "))
	case !errors.As(err, &refused):
		return err
	case refused.Code == api.BadRequest:
		return &usageError{refused}
	case len(refused.Problems) > 0:
		return fmt.Errorf("%s\n%s", refused.Message, strings.Join(refused.Problems, "\n"))
	}
	return errors.New(refused.Message)
}

// get asks, and prints the answer as JSON or has show print it.
func (o *operator) get(path string, query url.Values, into any, show func()) error {
	c, ctx, stop, err := o.client()
	if err != nil {
		return err
	}
	defer stop()
	body, _, err := c.Get(ctx, path, query)
	if err != nil {
		return o.plainly(err)
	}
	return o.print(body, into, show)
}

// print shows an answer.
func (o *operator) print(body []byte, into any, show func()) error {
	if o.JSON {
		var b bytes.Buffer
		if err := json.Indent(&b, body, "", "  "); err != nil {
			return err
		}
		fmt.Println(strings.TrimSpace(b.String()))
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return err
	}
	show()
	return nil
}

// page is what every list can be asked.
type page struct {
	Sort   string        `placeholder:"FIELD" complete:"sort" help:"The field to sort by; -FIELD the other way round."`
	Limit  int           `default:"100" placeholder:"N" help:"How many are shown at most (${default})."`
	Offset int           `placeholder:"N" help:"How many are left out first."`
	Where  []string      `placeholder:"FIELD=VALUE" sep:"none" complete:"where" help:"Only those whose field has the value. May be given several times."`
	Watch  bool          `short:"w" help:"Show it again and again, until Ctrl-C; with --json one document a line."`
	Every  time.Duration `default:"2s" placeholder:"TIME" help:"How often --watch asks (${default})."`
}

// leastEvery is the shortest time between two questions of --watch.
const leastEvery = 100 * time.Millisecond

// Validate is called by the parser.
func (p *page) Validate() error {
	if p.Every < leastEvery {
		return fmt.Errorf("--every is a time of %v at least", leastEvery)
	}
	return nil
}

// query makes the query of a list.
func (p *page) query() (url.Values, error) {
	q := url.Values{"limit": {strconv.Itoa(p.Limit)}}
	if p.Sort != "" {
		q.Set("sort", p.Sort)
	}
	if p.Offset != 0 {
		q.Set("offset", strconv.Itoa(p.Offset))
	}
	for _, w := range p.Where {
		field, value, ok := strings.Cut(w, "=")
		if !ok || field == "" {
			return nil, &usageError{fmt.Errorf("--where %s: write it as FIELD=VALUE, such as --where state=open", w)}
		}
		q.Add(field, value)
	}
	return q, nil
}

// ago tells how long something is past.
func ago(t *time.Time) string {
	if t == nil {
		return ""
	}
	return time.Since(*t).Round(time.Second).String()
}

// days is a number of days, if it is known.
func days(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// connectionID is the number of a connection, if there is one.
func connectionID(id uint64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatUint(id, 10)
}

// yes is a mark for what is so.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
