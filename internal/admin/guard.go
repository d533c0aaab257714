package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/config"
)

// refusals counts who was turned away, by the reason.
type refusals struct {
	full, outside, host, crossSite, credentials atomic.Uint64
	warned                                      atomic.Int64 // when the log last told of wrong credentials, Unix time in nanoseconds
}

// counts returns the counters, by the word for each.
func (f *refusals) counts() map[string]uint64 {
	return map[string]uint64{
		"connections": f.full.Load(), "outside": f.outside.Load(), "host": f.host.Load(),
		"cross_site": f.crossSite.Load(), "credentials": f.credentials.Load(),
	}
}

// warnEvery is how often the log tells of wrong credentials at most. Anybody can have that said.
const warnEvery = 10 * time.Second

// admit returns why a request is turned away, or nil. The rules are those in force, so that a reload changes the
// credentials, which the page itself needs none of.
func (s *Server) admit(r *http.Request, page bool) *failure {
	rules := &s.node.Config().Admin
	local, remote := localAddr(r), addrOf(r.RemoteAddr)
	switch {
	case rules.Open() && !(local.IsLoopback() && remote.IsLoopback()):
		s.refused.outside.Add(1)
		return refuse(http.StatusForbidden, api.Forbidden, "without credentials the admin API is for this machine only")
	case !knownHost(r.Host, local, rules):
		// A page of somebody else's whose name leads to this machine: DNS rebinding.
		s.refused.host.Add(1)
		return refuse(http.StatusMisdirectedRequest, api.Misdirected, "Host is none of this listener's: use its IP address, localhost, or a name in its certificate")
	case crossSite(r):
		s.refused.crossSite.Add(1)
		return refuse(http.StatusForbidden, api.Forbidden, "requests made by pages of other sites are refused")
	case !page && !rules.Open() && !authorized(r, rules):
		s.refused.credentials.Add(1)
		if last, now := s.refused.warned.Load(), time.Now().UnixNano(); now-last > int64(warnEvery) && s.refused.warned.CompareAndSwap(last, now) {
			s.log.Warn("admin API: no credentials, or wrong ones", "peer", r.RemoteAddr)
		}
		return refuse(http.StatusUnauthorized, api.Unauthorized, "show the token (Authorization: Bearer ...), or a client certificate")
	}
	return nil
}

// localAddr returns the address that a request was sent to.
func localAddr(r *http.Request) netip.Addr {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addrOf(a.String())
	}
	return netip.Addr{}
}

func addrOf(s string) netip.Addr {
	ap, _ := netip.ParseAddrPort(s)
	return ap.Addr().Unmap()
}

// knownHost tells whether a Host header field means this listener. No name but localhost and those that the
// certificate proves do, so that a browser which was led here under another name is turned away.
func knownHost(host string, local netip.Addr, rules *config.Admin) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if leaf := rules.Certificate.Leaf; leaf != nil && host != "" && leaf.VerifyHostname(host) == nil {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip == local || ip.IsLoopback() && local.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") && local.IsLoopback()
}

// crossSite tells whether a browser says that a page of another site made the request. Programs say nothing.
func crossSite(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return true
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		if err != nil || u.Scheme != scheme || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	return false
}

// authorized tells whether a request shows the token or came with a client certificate that is believed.
func authorized(r *http.Request, rules *config.Admin) bool {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && len(rules.Token) > 0 {
		got, want := sha256.Sum256([]byte(token)), sha256.Sum256(rules.Token)
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return true
		}
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || time.Now().After(r.TLS.PeerCertificates[0].NotAfter) {
		return false
	}
	// The connection may be older than the rules.
	for _, chain := range r.TLS.VerifiedChains {
		for _, ca := range rules.ClientCA {
			if chain[len(chain)-1].Equal(ca) {
				return true
			}
		}
	}
	return false
}

// tlsConfig makes the TLS settings of one connection out of the configuration in force.
func (s *Server) tlsConfig(*tls.ClientHelloInfo) (*tls.Config, error) {
	rules := &s.node.Config().Admin
	out := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		Certificates:           []tls.Certificate{rules.Certificate},
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // what was believed once is looked at again
	}
	if len(rules.ClientCA) > 0 {
		out.ClientCAs = x509.NewCertPool()
		for _, ca := range rules.ClientCA {
			out.ClientCAs.AddCert(ca)
		}
		out.ClientAuth = tls.RequireAndVerifyClientCert
		if len(rules.Token) > 0 {
			out.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return out, nil
}
