package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/devca"
)

// developmentSettings is what serve runs on without --config. Nobody outside this machine can reach it.
const developmentSettings = `listen:
  - udp://127.0.0.1:5060
  - tcp://127.0.0.1:5060
  - tls://127.0.0.1:5061
admin: 127.0.0.1:8060
trust:
  ca: [ca.pem]
domains:
  - name: localhost
    certificate: localhost.pem
    key: localhost.key
access:
  relay_from: [127.0.0.0/8]
`

// developmentName is what problems with these settings are reported under.
const developmentName = "(embedded default)"

// developmentConfig returns the embedded default. Its certification authority and certificate are made
// when they aren't in dir or no longer good.
func developmentConfig(dir string) (*config.Config, error) {
	cfg, err := config.Parse([]byte(developmentSettings), dir, developmentName)
	if err == nil {
		return cfg, nil
	}
	if err := devca.Write(dir, "Tandem development CA", []string{"localhost"}); err != nil {
		return nil, err
	}
	return config.Parse([]byte(developmentSettings), dir, developmentName)
}

// stateDir makes and returns the per-user directory for state of a kind, or one of the system's temporary
// ones where there is none to be had.
func stateDir(kind string) (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) {
		base = ""
		if home, err := os.UserHomeDir(); err == nil {
			base = filepath.Join(home, ".local", "state")
		}
	}
	if base != "" {
		dir := filepath.Join(base, "tandem", kind)
		if err := os.MkdirAll(dir, 0o700); err == nil {
			return dir, nil
		}
	}
	dir, err := os.MkdirTemp("", "tandem-")
	if err != nil {
		return "", fmt.Errorf("no place for the %s CA: %w", kind, err)
	}
	return dir, nil
}
