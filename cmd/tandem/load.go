package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/internal/load"
)

// loadCommand offers calls to a SIP element, and takes them at the far end.
type loadCommand struct {
	Target    string   `placeholder:"ADDR" help:"Where requests are sent: [udp|tcp|tls|sctp|tls-sctp://]HOST[:PORT]. Without it nobody is called."`
	AnswerAt  []string `name:"answer-at" sep:"," placeholder:"ADDR" help:"Where calls are taken: [udp|tcp|tls|sctp|tls-sctp://]IP:PORT; may be repeated. Without it nothing is answered."`
	Transport string   `default:"udp" placeholder:"NAME" help:"Transport of addresses that name none: udp, tcp, tls, sctp or tls-sctp (${default})."`
	Bind      string   `placeholder:"IP[:PORT]" help:"Address to call from. Default: the one that leads to the target, any port."`

	Scenario   []string `default:"call" sep:"," placeholder:"NAME[:N]" help:"What an arrival does: call, callee-bye, reinvite, callee-reinvite, options, register or message (${default}). Several are mixed, each N times as often."`
	From       string   `placeholder:"URI" help:"SIP URI of the callers; {n} in it is the number of the identity, which is otherwise appended to the user."`
	To         string   `placeholder:"URI" help:"SIP URI of those who are called, the same way."`
	Identities int      `default:"1" placeholder:"N" help:"How many callers, and how many who are called (${default})."`

	PasswordFile string `name:"password-file" placeholder:"FILE" help:"File that holds the password that challenges (401, 407) are answered with: digest by SHA-256 or MD5. Without it none is answered."`
	AuthUser     string `name:"auth-user" placeholder:"NAME" help:"User name that goes with it; {n} in it is the number of the identity, which is otherwise appended. Default: the user of the URI. Callees always use that."`

	Rate     float64       `default:"100" placeholder:"N" help:"Arrivals a second (${default})."`
	Ramp     string        `placeholder:"N:N:..." help:"Rates one after the other, each for --duration, in the place of --rate."`
	Duration time.Duration `placeholder:"TIME" help:"How long requests arrive at each rate. Default: 10s, or until --calls have begun."`
	Calls    int           `placeholder:"N" help:"After how many arrivals no more come."`
	Poisson  bool          `help:"Arrivals as independent callers make them. Default: evenly spaced."`
	Ring     time.Duration `default:"0s" placeholder:"TIME" help:"Time between 180 and 200 (${default})."`
	Hold     time.Duration `default:"0s" placeholder:"TIME" help:"Time between 200 and BYE (${default})."`
	Timeout  time.Duration `default:"32s" placeholder:"TIME" help:"How long a request may go without a final response (${default})."`

	Hops      int `default:"-1" placeholder:"N" help:"Proxies between the two ends; whatever arrives has to show that many. Default: any number."`
	Expect    int `default:"200" placeholder:"STATUS" help:"Status that has to answer the first request of an arrival (${default})."`
	MaxFailed int `name:"max-failed" default:"0" placeholder:"N" help:"How many calls may fail before the exit code is 1 (${default})."`

	Connections int     `default:"1" placeholder:"N" help:"Connections, or UDP sockets, to call over (${default})."`
	Handshakes  float64 `placeholder:"N" help:"Dial so many connections a second besides; each ends when its handshake has. Not over UDP."`
	Alias       bool    `help:"Ask for connection reuse (RFC 5923) with the alias parameter."`
	Cert        string  `placeholder:"FILE|DIR" help:"Certificate for TLS, or a directory or pattern of several, which connections show in turn."`
	Key         string  `placeholder:"FILE" help:"Its key. Default: the file of the same name that ends in .key."`
	CA          string  `name:"ca" placeholder:"FILE" help:"Authorities that vouch for the far side."`
	ServerName  string  `name:"server-name" placeholder:"NAME" help:"Domain that the target has to prove. Default: the host of --target."`
	Insecure    bool    `help:"Take any certificate."`

	FindCapacity bool    `name:"find-capacity" help:"Raise the rate from --rate until calls fail, trying each for --duration, and print the highest without a failed call."`
	MaxRate      float64 `name:"max-rate" placeholder:"N" help:"Highest rate that --find-capacity tries."`
	Overload     float64 `placeholder:"X" help:"With --find-capacity: then offer X times the capacity, and say what was carried and how long it took to recover."`

	JSON  bool `name:"json" help:"Print the report as one JSON object."`
	Quiet bool `short:"q" help:"No line of progress each second."`
}

// Help is shown by `tandem load --help`.
func (*loadCommand) Help() string {
	return `Requests arrive at their rate however slowly they are answered, and every latency begins when its request was due. With --target and --answer-at both ends of a call are here, and what arrives at each is compared with what the other sent; with one of them this is that end alone. Everything is checked: status, tags, CSeq, Via, Max-Forwards, Record-Route, bodies. What failed is counted by reason, and the first of it shown. The exit code is 1 when more than --max-failed calls failed.

Examples:

  tandem load --target 192.0.2.1 --answer-at 192.0.2.2:5060 --to sip:bob@example.net --rate 500 --hold 200ms
  tandem load --target tls://192.0.2.1 --cert peers/ --ca ca.pem --server-name example.com --connections 1000 --scenario options --rate 2000 --duration 1m
  tandem load --target 192.0.2.1 --scenario register --from sip:user{n}@example.com --identities 1000 --password-file password.txt --rate 50
  tandem load --answer-at udp://192.0.2.2:5060
  tandem load --target 192.0.2.1 --answer-at 192.0.2.2:5060 --find-capacity --overload 2 --json`
}

// Validate is called by the parser.
func (c *loadCommand) Validate() error {
	switch {
	case c.Target == "" && len(c.AnswerAt) == 0:
		return errors.New("give --target to call, --answer-at to be called, or both")
	case !(c.Rate > 0 && c.Rate <= load.MaxRate):
		return fmt.Errorf("--rate is a number above 0, and %d at most", load.MaxRate)
	case c.Calls < 0:
		return errors.New("--calls is a number above 0")
	case c.Duration < 0 || c.Ring < 0 || c.Hold < 0:
		return errors.New("--duration, --ring and --hold are not negative")
	case c.Timeout <= 0:
		return errors.New("--timeout is above 0")
	case c.Identities < 1 || c.Identities > load.MaxIdentities:
		return fmt.Errorf("--identities is a number from 1 to %d", load.MaxIdentities)
	case c.Connections < 1 || c.Connections > load.MaxConnections:
		return fmt.Errorf("--connections is a number from 1 to %d", load.MaxConnections)
	case c.Hops < -1 || c.Hops > 69:
		return errors.New("--hops is a number from 0 to 69")
	case c.Expect < 200 || c.Expect > 699:
		return errors.New("--expect is the status of a final response, from 200 to 699")
	case c.MaxFailed < 0:
		return errors.New("--max-failed is not negative")
	case c.AuthUser != "" && c.PasswordFile == "":
		return errors.New("--auth-user goes with --password-file")
	case c.FindCapacity && (c.Ramp != "" || c.Calls > 0):
		return errors.New("--find-capacity chooses the rates itself: leave out --ramp and --calls")
	case !c.FindCapacity && (c.Overload != 0 || c.MaxRate != 0):
		return errors.New("--overload and --max-rate go with --find-capacity")
	case c.FindCapacity && c.Target == "":
		return errors.New("--find-capacity calls: give --target")
	case c.Overload != 0 && !(c.Overload > 1 && c.Overload <= 100):
		return errors.New("--overload is a number above 1, and 100 at most")
	}
	if _, err := c.steps(); err != nil {
		return err
	}
	_, err := c.mix()
	return err
}

// Run offers the load and prints what became of it.
func (c *loadCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	cfg, err := c.config(ctx)
	if err != nil {
		return err
	}
	g, err := load.New(cfg)
	if err != nil {
		return err
	}
	var r *load.Report
	if c.FindCapacity {
		r, err = g.FindCapacity(ctx, load.Search{From: c.Rate, Highest: c.MaxRate, Duration: c.Duration, Overload: c.Overload})
	} else {
		r, err = g.Run(ctx)
	}
	if err != nil {
		return err
	}
	for _, f := range r.Failures {
		fmt.Fprintf(os.Stderr, "%s\n", f)
	}
	if c.JSON {
		err = r.WriteJSON(os.Stdout)
	} else {
		err = r.WriteText(os.Stdout)
	}
	if err != nil {
		return err
	}
	return c.verdict(r)
}

// verdict is the error that the exit code is made of.
func (c *loadCommand) verdict(r *load.Report) error {
	switch {
	case r.Capacity != nil && r.Capacity.Rate == 0 && !r.Interrupted:
		return errors.New("load: calls failed at every rate")
	case r.Capacity == nil && r.Failed > c.MaxFailed:
		return fmt.Errorf("load: %d of %d calls failed", r.Failed, r.Begun)
	}
	return nil
}

// steps are the rates.
func (c *loadCommand) steps() ([]load.Step, error) {
	rates := []float64{c.Rate}
	if c.Ramp != "" {
		rates = nil
		for text := range strings.SplitSeq(c.Ramp, ":") {
			rate, err := strconv.ParseFloat(text, 64)
			if err != nil || !(rate > 0 && rate <= load.MaxRate) {
				return nil, fmt.Errorf("--ramp is a list of rates such as 500:1000:2000, and %q is not a number above 0", text)
			}
			rates = append(rates, rate)
		}
	}
	duration := c.Duration
	if duration == 0 && c.Target != "" && (c.Calls == 0 || len(rates) > 1) {
		duration = 10 * time.Second
	}
	var steps []load.Step
	for _, rate := range rates {
		steps = append(steps, load.Step{Rate: rate, Duration: duration})
	}
	return steps, nil
}

// mix is what is offered.
func (c *loadCommand) mix() ([]load.Share, error) {
	var mix []load.Share
	for _, text := range c.Scenario {
		name, weight, weighted := strings.Cut(text, ":")
		share := load.Share{Scenario: load.Scenario(name), Weight: 1}
		known := false
		for _, s := range load.Scenarios() {
			known = known || s == share.Scenario
		}
		if !known {
			return nil, fmt.Errorf("--scenario: there is no %q; there are %s", name, scenarioNames())
		}
		if weighted {
			n, err := strconv.Atoi(weight)
			if err != nil || n < 1 || n > 1000 {
				return nil, fmt.Errorf("--scenario: %q is not a number from 1 to 1000", weight)
			}
			share.Weight = n
		}
		mix = append(mix, share)
	}
	return mix, nil
}

func scenarioNames() string {
	var names []string
	for _, s := range load.Scenarios() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}
