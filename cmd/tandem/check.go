package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tandem-sip/tandem/conformance"
	"github.com/tandem-sip/tandem/sipaddr"
)

// checkCommand probes a SIP element.
type checkCommand struct {
	Target string `arg:"" optional:"" help:"SIP URI of the element, such as sip:example.com or sip:192.0.2.1:5061."`

	Transport    string `default:"tls" enum:"tls,tls-sctp" placeholder:"NAME" help:"What is probed: tls, or tls-sctp, which is TLS over SCTP (${default})."`
	Domain       string `placeholder:"NAME" help:"A domain that the target serves. Default: the host of TARGET."`
	SecondDomain string `placeholder:"NAME" help:"Another one, for the cases about several local domains."`
	Trigger      string `placeholder:"URI|COMMAND" help:"What makes the target send a request: a SIP URI to send requests to, which the target forwards by their Request-URI; or a command, which is given the URI as its first argument. Default: UDP port 5060 of the target's IP address."`
	Plain        string `placeholder:"ADDR:PORT" help:"Where the target takes SIP over TCP without TLS. Default: its port 5060."`
	Listen       string `placeholder:"ADDR" help:"IP address of this machine to dial from and to listen on. Default: the one that leads to the target."`
	Second       string `placeholder:"ADDR" help:"Another one, for the case about several addresses."`
	Agent        string `placeholder:"ADDR" help:"IP address to send to the trigger from. Default: that of --listen."`
	Names        string `default:"check.test" placeholder:"DOMAIN" help:"Domain below which the prober has its names (${default})."`
	DNS          string `name:"dns" placeholder:"ADDR:PORT" help:"Answer DNS questions about these names here, over UDP. Without it the target has to find them some other way."`
	CA           string `name:"ca" placeholder:"FILE" help:"Certificate of the authority that signs the prober's certificates, which the target has to trust. Default: one that is made and kept for the user."`
	CAKey        string `name:"ca-key" placeholder:"FILE" help:"Its key."`

	Case string        `placeholder:"REGEXP" help:"Run only the cases whose id matches."`
	Wait time.Duration `default:"5s" placeholder:"TIME" help:"How long to wait for what has to come (${default})."`
	Idle time.Duration `default:"3s" placeholder:"TIME" help:"How long a connection has to stay open without being used (${default})."`

	List    bool   `help:"Print the cases, and run none."`
	Make    string `placeholder:"DIR" help:"Write an authority, certificates for the target, DNS records, a tandem configuration and a README.txt with what has to be true of the target into DIR, and run no case."`
	JSON    bool   `name:"json" help:"Print the report as one JSON object."`
	JUnit   string `name:"junit" placeholder:"FILE" help:"Write the report as a JUnit test suite as well."`
	Verbose bool   `short:"v" help:"Show what was on the wire for every case, not only for those that failed."`
}

// Help is shown by `tandem check --help`.
func (*checkCommand) Help() string {
	return `Dials the target as a peer, answers what it dials, and has it send requests towards the prober's own names, to see which connection they take: one case for each clause that can be seen from outside. The exit code is 1 when a case failed.

The target has to trust the prober's authority, to find the prober's names, and to forward what the trigger asks for; --make says how, in a README.txt.

Examples:

  tandem check --make /tmp/check --dns 127.0.0.1:5300 --domain example.com sip:127.0.0.1:5061
  tandem serve --config /tmp/check/tandem.yaml &
  tandem check --ca /tmp/check/ca.pem --ca-key /tmp/check/ca.key --dns 127.0.0.1:5300 --domain example.com sip:127.0.0.1:5061

  tandem check --trigger "ssh pbx send-message" --case 5923-8.2 sip:pbx.example.com`
}

// Run runs the cases and prints what came of them.
func (c *checkCommand) Run() error {
	if c.List {
		return c.list()
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if c.Make != "" {
		return c.make(ctx, cfg)
	}
	caFile, err := c.authority(&cfg)
	if err != nil {
		return err
	}
	colour := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
	if !c.JSON {
		cfg.Progress = func(r conformance.Result) { _ = r.Write(os.Stdout, colour, c.Verbose) } // as with fmt.Print
		cfg.Found = func(f conformance.Facts) {
			_ = f.WriteFacts(os.Stdout) // the same
			fmt.Println()
		}
	}
	p, err := conformance.New(ctx, cfg)
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Printf("%s at %s\n", c.Target, p.Address())
	}
	report, err := p.Run(ctx)
	if err != nil {
		return fmt.Errorf("%w\n\n%s", err, p.Setup(caFile))
	}
	if err := c.write(report); err != nil {
		return err
	}
	if !report.Facts.Forwards && !c.JSON {
		fmt.Fprintf(os.Stderr, "\n%s", p.Setup(caFile))
	}
	if report.Failed > 0 {
		return fmt.Errorf("check: %s failed", count(report.Failed, "case"))
	}
	return nil
}

// list prints the cases.
func (c *checkCommand) list() error {
	only, err := c.only()
	if err != nil {
		return err
	}
	for _, k := range conformance.Cases() {
		if only == nil || only.MatchString(k.ID) {
			fmt.Printf("%-12s %-8s  %s\n%24sThe prober %s.\n", k.ID, k.Level, k.Requirement, "", k.Does)
		}
	}
	return nil
}

// usage is an error that says what is wrong with a flag.
func usage(format string, args ...any) error {
	return fmt.Errorf("check: %w: %s", conformance.ErrUsage, fmt.Sprintf(format, args...))
}

// only is the pattern for cases, nil for all.
func (c *checkCommand) only() (*regexp.Regexp, error) {
	if c.Case == "" {
		return nil, nil
	}
	only, err := regexp.Compile(c.Case)
	if err != nil {
		return nil, usage("--case: %v", err)
	}
	for _, k := range conformance.Cases() {
		if only.MatchString(k.ID) {
			return only, nil
		}
	}
	return nil, usage("--case: no id matches %s", c.Case)
}

// config is what the flags say.
func (c *checkCommand) config() (conformance.Config, error) {
	cfg := conformance.Config{Target: c.Target, Domain: c.Domain, SecondDomain: c.SecondDomain, Names: c.Names, Wait: c.Wait, Idle: c.Idle}
	cfg.Transport, _ = sipaddr.ParseTransport(c.Transport)
	if c.Target == "" {
		return cfg, usage("TARGET is missing")
	}
	if strings.HasPrefix(strings.ToLower(c.Trigger), "sip:") || c.Trigger == "" {
		cfg.Trigger = c.Trigger
	} else {
		cfg.Command = c.command
	}
	var err error
	if cfg.Only, err = c.only(); err != nil {
		return cfg, err
	}
	for _, f := range []struct {
		flag, text string
		to         *netip.Addr
	}{{"--listen", c.Listen, &cfg.Listen}, {"--second", c.Second, &cfg.Second}, {"--agent", c.Agent, &cfg.Agent}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = netip.ParseAddr(f.text); err != nil {
			return cfg, usage("%s: %q is not an IP address", f.flag, f.text)
		}
	}
	for _, f := range []struct {
		flag, text string
		to         *netip.AddrPort
	}{{"--plain", c.Plain, &cfg.Plain}, {"--dns", c.DNS, &cfg.DNS}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = netip.ParseAddrPort(f.text); err != nil {
			return cfg, usage("%s: %q is not an IP address with a port", f.flag, f.text)
		}
	}
	return cfg, nil
}

// command runs the trigger that is a command. What it prints is shown when it fails.
func (c *checkCommand) command(ctx context.Context, uri string) error {
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", c.Trigger+` "$@"`, "sh", uri).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// write prints the report, and writes it where it was asked for.
func (c *checkCommand) write(report *conformance.Report) error {
	if c.JUnit != "" {
		f, err := os.Create(c.JUnit)
		if err != nil {
			return fmt.Errorf("check: %w", err)
		}
		if err := report.WriteJUnit(f); err != nil {
			_ = f.Close() // the other error says more
			return err
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	if c.JSON {
		return report.WriteJSON(os.Stdout)
	}
	return report.WriteSummary(os.Stdout)
}
