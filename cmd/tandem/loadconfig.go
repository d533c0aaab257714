package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/sipaddr"
)

// loadUsage is an error that says what is wrong with a flag.
func loadUsage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", load.ErrConfig, fmt.Sprintf(format, args...))
}

// config is what the flags say.
func (c *loadCommand) config(ctx context.Context) (load.Config, error) {
	cfg := load.Config{
		From: c.From, To: c.To, Identities: c.Identities, Connections: c.Connections, Calls: c.Calls, Poisson: c.Poisson,
		Ring: c.Ring, Hold: c.Hold, Timeout: c.Timeout, Vias: c.Hops + 1, Expect: c.Expect, Alias: c.Alias, Handshakes: c.Handshakes,
		User: c.AuthUser, Insecure: c.Insecure, Version: version(),
	}
	cfg.Steps, _ = c.steps() // Validate was content with both
	cfg.Mix, _ = c.mix()
	if !c.Quiet {
		cfg.Progress = showProgress
	}
	if c.Target != "" {
		target, host, err := c.endpoint(ctx, "--target", c.Target)
		if err != nil {
			return cfg, err
		}
		cfg.Target, cfg.ServerName = target, host
	}
	for _, text := range c.AnswerAt {
		at, _, err := c.endpoint(ctx, "--answer-at", text)
		if err != nil {
			return cfg, err
		}
		cfg.AnswerAt = append(cfg.AnswerAt, at)
	}
	if c.ServerName != "" {
		cfg.ServerName = c.ServerName
	}
	var err error
	if cfg.Bind, err = bindAddress(c.Bind); err != nil {
		return cfg, err
	}
	if cfg.Roots, err = authorities(c.CA); err != nil {
		return cfg, err
	}
	if cfg.Certificates, err = certificates(c.Cert, c.Key); err != nil {
		return cfg, err
	}
	if cfg.Password, err = password(c.PasswordFile); err != nil {
		return cfg, err
	}
	return cfg, c.checkTLS(cfg)
}

// password reads a file whose only line it is.
func password(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", loadUsage("--password-file: %v", err)
	}
	line := strings.TrimRight(string(text), "\r\n")
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return "", loadUsage("--password-file: %s does not hold one line", file)
	}
	return line, nil
}

// checkTLS says which flags TLS needs.
func (c *loadCommand) checkTLS(cfg load.Config) error {
	calls := cfg.Target.Transport.Secure()
	answers := slices.ContainsFunc(cfg.AnswerAt, func(e load.Endpoint) bool { return e.Transport.Secure() })
	switch {
	case (calls || answers) && c.CA == "" && !c.Insecure:
		return loadUsage("TLS needs --ca, or --insecure to take any certificate")
	case answers && c.Cert == "":
		return loadUsage("--answer-at over TLS needs --cert")
	}
	return nil
}

// endpoint reads an address, and looks its host up when that is a name, which it returns as well.
func (c *loadCommand) endpoint(ctx context.Context, flag, text string) (load.Endpoint, string, error) {
	if scheme, _, found := strings.Cut(text, ":"); found && strings.HasPrefix(strings.ToLower(scheme), "sip") {
		return load.Endpoint{}, "", loadUsage("%s: %q is a URI; give an address such as udp://192.0.2.1:5060", flag, text)
	}
	token, rest, found := strings.Cut(text, "://")
	if !found {
		token, rest = c.Transport, text
	}
	var e load.Endpoint
	var known bool
	e.Transport, known = sipaddr.ParseTransport(token)
	if !known {
		return e, "", loadUsage("%s: %q is not udp, tcp, tls, sctp or tls-sctp", flag, token)
	}
	host, port := rest, e.Transport.DefaultPort()
	if h, p, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return e, "", loadUsage("%s: %q is not a port", flag, p)
		}
		host, port = h, uint16(n)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if host == "" || strings.ContainsAny(host, " /:@;?") {
			return e, "", loadUsage("%s: %q is not an address such as udp://192.0.2.1:5060", flag, text)
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return e, "", fmt.Errorf("load: %s: %w", flag, err)
		}
		ip = ips[0].Unmap()
	}
	e.Addr = netip.AddrPortFrom(ip, port)
	return e, host, nil
}

// bindAddress reads an IP address with or without a port.
func bindAddress(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap, nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.AddrPort{}, loadUsage("--bind: %q is not an IP address with or without a port", text)
	}
	return netip.AddrPortFrom(ip, 0), nil
}

// authorities reads the certificates of a file.
func authorities(file string) ([]*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, loadUsage("--ca: %v", err)
	}
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, loadUsage("--ca: %s: %v", file, err)
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, loadUsage("--ca: %s holds no PEM certificate", file)
	}
	return list, nil
}

// certificates reads a certificate with its key, or several: all of a directory or of a pattern that have a key
// beside them.
func certificates(name, key string) ([]tls.Certificate, error) {
	if name == "" {
		if key != "" {
			return nil, loadUsage("--key goes with --cert")
		}
		return nil, nil
	}
	files, err := filesOf(name)
	if err != nil {
		return nil, err
	}
	if key != "" && len(files) > 1 {
		return nil, loadUsage("--key goes with one certificate, and %s has %d", name, len(files))
	}
	var list []tls.Certificate
	for _, file := range files {
		keyFile := key
		if keyFile == "" {
			keyFile = strings.TrimSuffix(file, filepath.Ext(file)) + ".key"
			if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) && len(files) > 1 {
				continue // such as an authority's, which has no key here
			}
		}
		pair, err := tls.LoadX509KeyPair(file, keyFile)
		if err != nil {
			return nil, loadUsage("--cert: %s: %v", file, err)
		}
		list = append(list, pair)
	}
	if len(list) == 0 {
		return nil, loadUsage("--cert: %s has no certificate with a key beside it", name)
	}
	return list, nil
}

// filesOf returns the files that a name, a directory or a pattern stands for.
func filesOf(name string) ([]string, error) {
	pattern := name
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.IsDir():
		return []string{name}, nil
	case err == nil:
		pattern = filepath.Join(name, "*.pem")
	case !strings.ContainsAny(name, "*?["):
		return nil, loadUsage("--cert: %v", err)
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return nil, loadUsage("--cert: no file matches %s", pattern)
	}
	slices.Sort(files)
	return files, nil
}

// showProgress writes a line for each second.
func showProgress(p load.Progress) {
	fmt.Fprintf(os.Stderr, "%5.0fs  offered %.0f/s  begun %d  done %d  failed %d  open %d  p50 %.2f ms  p99 %.2f ms\n",
		p.Seconds, p.Offered, p.Begun, p.Done, p.Failed, p.Open, p.P50.Seconds()*1000, p.P99.Seconds()*1000)
}
