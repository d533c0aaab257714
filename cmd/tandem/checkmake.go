package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-sip/tandem/conformance"
)

// authority reads the prober's authority, and returns where its certificate is. Without --ca it is one for
// the user, which is made at first.
func (c *checkCommand) authority(cfg *conformance.Config) (file string, err error) {
	if (c.CA == "") != (c.CAKey == "") {
		return "", usage("--ca and --ca-key go together")
	}
	file, keyFile := c.CA, c.CAKey
	if file == "" {
		dir, err := stateDir("check")
		if err != nil {
			return "", err
		}
		file, keyFile = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
		if made, err := makeAuthority(dir); err != nil {
			return "", err
		} else if made {
			fmt.Fprintf(os.Stderr, "made an authority for the prober's certificates: have the target trust %s\n", file)
		}
	}
	cfg.Authority, err = readAuthority(file, keyFile)
	return file, err
}

// readAuthority reads an authority from its files.
func readAuthority(file, keyFile string) (*conformance.Authority, error) {
	cert, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("--ca: %v", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, usage("--ca-key: %v", err)
	}
	a, err := conformance.LoadAuthority(cert, key)
	if err != nil {
		return nil, usage("--ca: %v", err)
	}
	return a, nil
}

// makeAuthority makes an authority and writes it into a directory. One that is there stays, because targets
// may trust it already.
func makeAuthority(dir string) (made bool, err error) {
	if _, err := os.Stat(filepath.Join(dir, "ca.key")); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	a, err := conformance.NewAuthority("Authority of tandem check")
	if err != nil {
		return false, err
	}
	cert, key := a.PEM()
	return true, writeFiles(dir, map[string][]byte{"ca.pem": cert, "ca.key": key})
}

// make writes what a target needs, and says so.
func (c *checkCommand) make(ctx context.Context, cfg conformance.Config) error {
	if err := os.MkdirAll(c.Make, 0o755); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if _, err := makeAuthority(c.Make); err != nil {
		return err
	}
	a, err := readAuthority(filepath.Join(c.Make, "ca.pem"), filepath.Join(c.Make, "ca.key"))
	if err != nil {
		return err
	}
	cfg.Authority = a
	p, err := conformance.New(ctx, cfg)
	if err != nil {
		return err
	}
	if _, err := netip.ParseAddr(strings.Trim(p.Domain(), "[]")); err == nil {
		return usage("--domain is missing: the host of TARGET is an IP address, and certificates are for domains")
	}
	files := map[string][]byte{"hosts": []byte(p.Hosts()), "zone": []byte(p.Zone()), "tandem.yaml": []byte(p.Tandem())}
	for name, domain := range map[string]string{"target": p.Domain(), "second": c.SecondDomain} {
		if domain == "" {
			continue
		}
		if files[name+".pem"], files[name+".key"], err = a.Issue(domain); err != nil {
			return err
		}
	}
	absolute, err := filepath.Abs(c.Make)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	text := p.Setup(filepath.Join(absolute, "ca.pem")) + fmt.Sprintf(`
Here are

  ca.pem, ca.key           the authority; keep the key to yourself
  target.pem, target.key   a certificate for %s, if the target has none
  hosts, zone              the prober's names for a hosts file and for a DNS server
  tandem.yaml              all of this as a configuration of a tandem: tandem serve --config %s

Then run

  %s
`, p.Domain(), filepath.Join(absolute, "tandem.yaml"), c.again(absolute))
	files["README.txt"] = []byte(text)
	if err := writeFiles(c.Make, files); err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}

// again is the command line that runs the cases with what --make has written.
func (c *checkCommand) again(dir string) string {
	words := []string{"tandem", "check", "--ca", filepath.Join(dir, "ca.pem"), "--ca-key", filepath.Join(dir, "ca.key")}
	for _, f := range [][2]string{{"--domain", c.Domain}, {"--second-domain", c.SecondDomain}, {"--trigger", c.Trigger}, {"--plain", c.Plain},
		{"--listen", c.Listen}, {"--second", c.Second}, {"--agent", c.Agent}, {"--dns", c.DNS}} {
		if f[1] != "" {
			words = append(words, f[0], f[1])
		}
	}
	words = append(words, c.Target)
	for i, w := range words {
		if strings.ContainsAny(w, " ;&|$'\"") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// writeFiles writes files into a directory; what ends in .key is for its owner only.
func writeFiles(dir string, files map[string][]byte) error {
	for name, data := range files {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, ".key") {
			mode = 0o600
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, mode); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	return nil
}
