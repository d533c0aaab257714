// Package lab builds RFC 5923's Figure 4 on this machine and calls through it.
//
// Two proxies, p1.example.com and p2.example.net, run from configurations as anybody would write them;
// a certification authority, a DNS zone and user agents behind each proxy are made for them. Calls go
// in both directions, forward from example.com to example.net and backward, and in the end there is one
// connection between the proxies, which the package counts in the kernel and shows in both alias tables.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Options says what to do. The zero value places 50 calls each way, 50 a second.
type Options struct {
	// Calls is how many calls go each way. Default 50.
	Calls int
	// Transport is what is spoken between the proxies: TLS by default, TLSSCTP, or SCTP without TLS, over which each
	// proxy has an association of its own to the other.
	Transport sipaddr.Transport
	// Rate is how many calls begin a second each way, whatever became of those before. Default 50.
	Rate float64
	// Hold is how long a call is held before somebody hangs up. Default 100 ms.
	Hold time.Duration
	// Once stops when the calls are over; otherwise the proxies stay until ctx is done, and serve the dashboard.
	Once bool
	// Progress is where Run tells what is happening while it does. Nil: nowhere.
	Progress io.Writer
	// Terminal says that Progress can redraw lines.
	Terminal bool
	// Logger gets what the proxies log. Default: nothing.
	Logger *slog.Logger
	// Version is that of the program, for the proxies.
	Version string
}

func (o Options) withDefaults() Options {
	if o.Calls <= 0 {
		o.Calls = 50
	}
	if o.Transport == sipaddr.Unknown {
		o.Transport = sipaddr.TLS
	}
	if o.Rate <= 0 {
		o.Rate = 50
	}
	if o.Hold <= 0 {
		o.Hold = 100 * time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Lab is the figure, built and running. Its methods other than Close may be called at once.
type Lab struct {
	opts  Options
	dir   string // of the configurations and certificates
	place place
	zone  *zone
	sides [2]*side
	book  *book

	opened [2]int // associations that each side had opened before the first call; set by Call

	stop context.CancelFunc // ends the agents and proxies
	ran  sync.WaitGroup     // what Start started

	mu   sync.Mutex // mu guards the field below
	died error      // why a proxy or an agent ended before its time
}

// Start builds the figure. What it says is wrong is for people to read. Close ends what it started.
func Start(opts Options) (*Lab, error) {
	// The kernel needs no UDP, and would have the port.
	found, err := findPlace(opts.Transport.OverSCTP() && !sctp.KernelSpeaks())
	if err != nil {
		return nil, err
	}
	return startAt(found, opts)
}

// startAt builds the figure on addresses that were found, and releases what held them.
func startAt(found *foundPlace, opts Options) (*Lab, error) {
	defer found.release()
	dir, err := os.MkdirTemp("", "tandem-lab-")
	if err != nil {
		found.dns.Close()
		return nil, fmt.Errorf("lab: no place for the certificates: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Lab{opts: opts.withDefaults(), dir: dir, place: found.place, book: newBook(), stop: stop}
	if err := l.build(ctx, found); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// build puts everything up in the order in which one thing needs another.
func (l *Lab) build(ctx context.Context, found *foundPlace) error {
	l.zone = newZone(found.dns, l.place, l.opts.Transport)
	// Ends when Close shuts the server down.
	l.ran.Go(func() { l.ended("the DNS server", l.zone.run()) })
	if err := writeCertificates(l.dir); err != nil {
		return err
	}
	for i := range l.sides {
		s, err := newSide(l.dir, i, l.place, l.opts, l.book)
		if err != nil {
			return err
		}
		l.sides[i] = s
	}
	found.release()
	for _, s := range l.sides {
		if err := s.node.Open(); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		s.opened = true
		// Ends when Close cancels ctx.
		l.ran.Go(func() { l.ended(s.name, s.node.Run(ctx)) })
		if s.admin != nil {
			if err := s.admin.Open(); err != nil {
				return fmt.Errorf("lab: %w", err)
			}
			// The same.
			l.ran.Go(func() { l.ended("the admin API of "+s.name, s.admin.Run(ctx)) })
		}
		for _, a := range s.agents {
			// Ends when Close closes the agent's socket.
			l.ran.Go(func() { l.ended("an agent of "+s.domain, a.read()) })
			// Ends when Close cancels ctx.
			l.ran.Go(func() { a.run(ctx) })
		}
	}
	return nil
}

// ended notes why something ended. Being stopped is no reason worth keeping.
func (l *Lab) ended(what string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.died == nil {
		l.died = fmt.Errorf("lab: %s stopped: %w", what, err)
	}
}

// Err says why a part of the lab ended before its time; nil while all is well.
func (l *Lab) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died
}

// Close ends everything, in an orderly way as far as it can, and removes what was written.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var drained sync.WaitGroup
	for _, s := range l.sides {
		if s != nil && s.opened {
			// Ends when ctx does, at the latest.
			drained.Go(func() { _ = s.node.Drain(ctx) }) // what did not end in time is closed next
		}
	}
	drained.Wait()
	l.stop()
	var err error
	for _, s := range l.sides {
		if s != nil {
			err = errors.Join(err, s.close())
		}
	}
	if l.zone != nil {
		l.zone.close()
	}
	l.ran.Wait()
	return errors.Join(err, os.RemoveAll(l.dir))
}

// drainTime is how long closing waits for the proxies' transactions. The calls are over by then, and
// what is left only absorbs retransmissions.
const drainTime = 500 * time.Millisecond

// Dashboards returns where the web page of each proxy is, by its name; none when the lab ends with its calls.
func (l *Lab) Dashboards() (list []string) {
	for _, s := range l.sides {
		if s.admin != nil {
			list = append(list, fmt.Sprintf("%s: http://%v/", s.name, s.admin.Addr()))
		}
	}
	return list
}

// Rows returns both alias tables.
func (l *Lab) Rows() []Row {
	var rows []Row
	for _, s := range l.sides {
		for _, r := range s.node.Aliases() {
			rows = append(rows, newRow(s.name, r))
		}
	}
	return rows
}

// Row is one row of an alias table, in the columns of RFC 5923, Section 5.
type Row struct {
	Proxy       string          `json:"proxy"`        // whose table it stands in
	LocalDomain string          `json:"local_domain"` // the served domain that the table belongs to
	IP          netip.Addr      `json:"ip"`           // of the resolved address
	Port        uint16          `json:"port"`
	Transport   string          `json:"transport"`  // as in Via: TLS or TLS-SCTP
	Identities  []string        `json:"identities"` // SIP domain identities of the peer's certificate
	Connection  alias.ConnID    `json:"connection"` // the alias descriptor
	Direction   alias.Direction `json:"direction"`  // dialed or accepted
	MadeBy      string          `json:"made_by"`    // Call-ID of the request that made it, or "dial"
}

func newRow(proxy string, r alias.Row) Row {
	return Row{
		Proxy: proxy, LocalDomain: r.LocalDomain,
		IP: r.Resolved.Addr(), Port: r.Resolved.Port(), Transport: r.Resolved.Transport.String(),
		Identities: r.Identities.Names(), Connection: r.Conn, Direction: r.Direction, MadeBy: r.MadeBy,
	}
}
