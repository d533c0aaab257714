package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// Admin is where operators reach this process, and by what they are known.
type Admin struct {
	// Listen is the listen address of the admin API. Invalid: there is none.
	Listen netip.AddrPort
	// Token is the secret that clients show, at least 32 bytes; nil: none is known.
	Token []byte
	// Certificate is shown to clients; empty (no Certificate bytes): the API is served without TLS.
	Certificate tls.Certificate
	// ClientCA holds the authorities whose client certificates are let in. Empty: nobody's.
	ClientCA []*x509.Certificate
}

// Open reports whether anybody who can reach the listen address is let in. That is so on loopback only.
func (a *Admin) Open() bool { return len(a.Token) == 0 && len(a.ClientCA) == 0 }

// minSecret is the shortest secret that is taken, in bytes.
const minSecret = 32

// readAdmin reads the address of the admin API, alone or with what it is protected by.
func (v value) readAdmin(cfg *Config) {
	a := &cfg.Admin
	if v.node.Kind != yaml.MappingNode {
		v.readAdminListen(a)
	} else {
		var files keyPair
		v.fields([]field{
			{"listen", func(v value) { v.readAdminListen(a) }},
			{"token_file", func(v value) { a.Token = v.readSecret() }},
			{"certificate", func(v value) { files.readCertificate(v) }},
			{"key", func(v value) { files.readKey(v) }},
			{"client_ca", func(v value) {
				for _, item := range v.items() {
					a.ClientCA = append(a.ClientCA, item.readCA()...)
				}
			}},
		})
		v.r.checkPair(&files, v.key)
		a.Certificate = files.pair(v)
	}
	v.checkAdmin(a)
}

func (v value) readAdminListen(a *Admin) {
	if s, ok := v.text(); ok {
		a.Listen, _ = v.addrPort(s, 8060)
	}
}

// checkAdmin finds what would let strangers in, or nobody.
func (v value) checkAdmin(a *Admin) {
	has := func(key string) bool { return v.r.lines[v.key+"."+key] != 0 }
	if v.node.Kind == yaml.MappingNode && !has("listen") {
		v.problem("it has no address: add `listen: 127.0.0.1:8060`")
		return
	}
	if !a.Listen.IsValid() {
		return
	}
	at := v.key
	if has("listen") {
		at += ".listen"
	}
	if !a.Listen.Addr().IsLoopback() {
		if !has("token_file") && !has("client_ca") {
			v.r.problemAt(at, "%s can be reached from other machines: give a loopback address, such as 127.0.0.1:%d, or say who is let in, by token_file or client_ca", a.Listen, a.Listen.Port())
		} else if !has("certificate") {
			v.r.problemAt(at, "%s can be reached from other machines, and what is said there could be overheard: add certificate and key", a.Listen)
		}
	}
	if has("client_ca") && !has("certificate") {
		v.r.problemAt(v.key+".client_ca", "client certificates are shown over TLS only: add certificate and key")
	}
	if has("client_ca") && len(a.ClientCA) == 0 {
		v.r.problemAt(v.key+".client_ca", "it names no authority: add the file of one, or take it out")
	}
}

// checkAdminSocket finds a listener that needs the same socket as the admin API.
func (r *reader) checkAdminSocket(cfg *Config) {
	for i, l := range cfg.Listen {
		if socketKind(l.Transport) == "TCP" && l.Addr == cfg.Admin.Listen && l.Addr.Port() != 0 {
			r.problemAt("admin", "%s needs the same TCP port as %s in line %d: give one of them another port", cfg.Admin.Listen, l, r.line(index("listen", i)))
		}
	}
}

// readSecret reads a file with a secret in it, without the blanks around it.
func (v value) readSecret() []byte {
	data, path, ok := v.readFile()
	if !ok {
		return nil
	}
	secret := bytes.TrimSpace(data)
	if len(secret) < minSecret {
		v.problem("%s has %d bytes, and a secret that cannot be guessed has at least %d: make one with `openssl rand -hex 32 > %s`", path, len(secret), minSecret, path)
		return nil
	}
	return secret
}
