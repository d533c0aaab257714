// Package admin serves the HTTP API for operators: health, metrics, profiles, and what the proxy knows and can be
// told to do; and the web page that shows it.
//
// It reads the rooms' own answers when it is asked and adds nothing to the way of a message. Whoever may not be let
// in is turned away before anything else is looked at (guard.go); every refusal is an api.Failure.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/internal/dashboard"
	"github.com/tandem-sip/tandem/internal/metrics"
	"github.com/tandem-sip/tandem/internal/node"
)

// Options are what a Server is made of. Node is required.
type Options struct {
	Node *node.Node
	// Reload reads the configuration again and puts it into force. Nil: it cannot be done over the API.
	Reload func(context.Context) error
	// Drain begins to stop the process as SIGTERM does, and returns at once. Nil: it cannot be done over the API.
	Drain func()
	// Times are what the node was made to fill, for the metrics. Nil: they are not shown.
	Times *metrics.Times
	// Upgrade starts another process in the place of this one, and returns its process id when it serves. Nil: it cannot be done
	// over the API.
	Upgrade func(context.Context) (pid int, err error)
	// Inherit is the socket to listen on, when it is open already. Nil: Open opens it.
	Inherit *os.File
	Logger  *slog.Logger // nil: nothing is logged
	Version string       // of the program
}

// Limits of the listener. Operators are few.
const (
	maxConnections = 64
	maxHeader      = 16 << 10
	maxBody        = 64 << 10
	headerTimeout  = 5 * time.Second // TLS handshake included
	bodyTimeout    = 5 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = time.Minute
	shutdownGrace  = time.Second
)

// Server serves the admin API of one node.
type Server struct {
	opts    Options
	log     *slog.Logger
	node    *node.Node
	routes  []route
	started time.Time
	http    *http.Server
	refused refusals

	explains chan struct{} // holds one for each explanation in progress
	ticks    *ticks        // for those who watch
	stopping chan struct{} // closed when streams are to end
	page     map[string]dashboard.File

	// listener and socket, which is below it, are set by Open.
	listener net.Listener
	socket   *net.TCPListener
}

// New makes a Server. It opens nothing.
func New(opts Options) *Server {
	s := &Server{opts: opts, log: opts.Logger, node: opts.Node, started: time.Now(), explains: make(chan struct{}, maxExplains), stopping: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ticks = newTicks(s.takeStock)
	s.page = dashboard.Files()
	s.routes = s.allRoutes()
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		// There is no ReadTimeout: it would end a profile that takes longer. readBody has a deadline of its own.
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.http.RegisterOnShutdown(sync.OnceFunc(func() { close(s.stopping) }))
	return s
}

// Open binds the listen address of the configuration. An error names its key in the file.
func (s *Server) Open() error {
	cfg := s.node.Config()
	l, err := s.listen(cfg.Admin.Listen.String())
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("%s:%d: admin: %s: %w: give another address or port, or stop the program that has it",
			cfg.File, cfg.Line("admin"), cfg.Admin.Listen, err)
	}
	s.socket, _ = l.(*net.TCPListener)
	l = &limited{Listener: l, refused: &s.refused.full}
	if len(cfg.Admin.Certificate.Certificate) > 0 {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.tlsConfig})
	}
	s.listener = l
	return nil
}

// listen opens the socket, or takes the one that is there.
func (s *Server) listen(addr string) (net.Listener, error) {
	if f := s.opts.Inherit; f != nil {
		defer f.Close()
		return net.FileListener(f)
	}
	return net.Listen("tcp", addr)
}

// Socket returns the listening socket, for another process to have it too. Open comes before it.
func (s *Server) Socket() (syscall.RawConn, error) { return s.socket.SyscallConn() }

// Addr returns the listen address with its real port. Open comes before it.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx is done, and returns when all requests have ended.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	// Ends when the server is shut down; this function waits for it.
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	s.ticks.stop()
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if s.http.Shutdown(grace) != nil {
		_ = s.http.Close() // a profile, or somebody slow
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// Close closes the listener, when Run was not called.
func (s *Server) Close() error { return s.listener.Close() }

// limited is a listener with a limit to the connections open at once: those beyond it are closed.
type limited struct {
	net.Listener
	open    atomic.Int64
	refused *atomic.Uint64
}

// Accept returns the next connection within the limit.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= maxConnections {
			return &limitedConn{Conn: c, listener: l}, nil
		}
		l.open.Add(-1)
		l.refused.Add(1)
		_ = c.Close()
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	listener *limited
	closed   atomic.Bool
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.listener.open.Add(-1)
	}
	return c.Conn.Close()
}
