package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// ClientConfig says where an admin API is and what is shown to it.
type ClientConfig struct {
	// Address is an IP address or host with a port, or a URL with http or https.
	Address string
	Token   string
	// CA is a PEM file of the authorities that the server's certificate comes from. Empty: the system's.
	CA string
	// Certificate and Key are PEM files of a client certificate; empty: none.
	Certificate, Key string
	// Timeout bounds one request. Default 30 s.
	Timeout time.Duration
}

// Client asks an admin API.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// ErrUnreachable says that nobody answered at the address. It comes wrapped, with the cause.
var ErrUnreachable = errors.New("api: nobody answers")

// NewClient makes a Client. It asks nothing yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	base := cfg.Address
	if !strings.Contains(base, "://") {
		scheme := "http://"
		if cfg.CA != "" || cfg.Certificate != "" {
			scheme = "https://"
		}
		base = scheme + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("api: %q is no address of an admin API: write it as 127.0.0.1:8060 or https://host:8060", cfg.Address)
	}
	if cfg.Token != "" && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("api: the token would be sent to %s for all to read: ask by https", u.Host)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, Proxy: nil}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		tr.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !tr.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("api: %s has no certificate in it", cfg.CA)
		}
	}
	if cfg.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		tr.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	return &Client{base: u.Scheme + "://" + u.Host, token: cfg.Token, http: &http.Client{
		Transport: tr, Timeout: cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Get asks for a path and returns the body, which is JSON, and its ETag. A refusal is an *Error.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (body []byte, etag string, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, "")
}

// Post has something done. etag is for If-Match; empty: none. A refusal is an *Error.
func (c *Client) Post(ctx context.Context, path, etag string) (body []byte, err error) {
	body, _, err = c.do(ctx, http.MethodPost, path, etag)
	return body, err
}

// maxEvent bounds one event of a stream, in bytes.
const maxEvent = 8 << 20

// Stream asks for a stream of server-sent events and hands them to each, until ctx is done, which is no error, each fails,
// or the stream ends, which is ErrUnreachable. begun is called when the stream stands. A refusal is an *Error.
func (c *Client) Stream(ctx context.Context, path string, query url.Values, begun func() error, each func(event string, data []byte) error) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	resp, err := c.send(ctx, &http.Client{Transport: c.http.Transport, CheckRedirect: c.http.CheckRedirect}, http.MethodGet, path, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return c.refusal(resp, body)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	event, data := "", []byte(nil)
	for lines.Scan() {
		line := lines.Bytes()
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			event = string(value)
		case "data":
			data = append(data, value...)
		case "":
			if len(line) > 0 { // a comment, with which the stream begins
				if begun != nil {
					if err := begun(); err != nil {
						return err
					}
					begun = nil
				}
				continue
			}
			if event != "" {
				if err := each(event, data); err != nil {
					return err
				}
			}
			event, data = "", data[:0]
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%w at %s any more", ErrUnreachable, c.base)
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

func (c *Client) do(ctx context.Context, method, path, etag string) ([]byte, string, error) {
	resp, err := c.send(ctx, c.http, method, path, etag)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, "", fmt.Errorf("%w at %s: %w", ErrUnreachable, c.base, err)
	}
	if resp.StatusCode >= 300 {
		return nil, "", c.refusal(resp, body)
	}
	return body, resp.Header.Get("ETag"), nil
}

// send sends a request.
func (c *Client) send(ctx context.Context, by *http.Client, method, path, etag string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	resp, err := by.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, c.base, err)
	}
	return resp, nil
}

// refusal reads a refusal.
func (c *Client) refusal(resp *http.Response, body []byte) error {
	var f Failure
	if json.Unmarshal(body, &f) != nil || f.Error == nil {
		return fmt.Errorf("api: %s answers %s, which is no admin API of ours", c.base, resp.Status)
	}
	return f.Error
}
