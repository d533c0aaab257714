package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// failure is a case's error when the target does other than the clause asks.
type failure struct{ text string }

// Error returns what was seen.
func (f *failure) Error() string { return f.text }

func failf(format string, args ...any) error { return &failure{fmt.Sprintf(format, args...)} }

// untestable is a case's error when the clause cannot be tested on this target, or from here.
type untestable struct{ text string }

// Error returns why.
func (u *untestable) Error() string { return u.text }

func untestablef(format string, args ...any) error { return &untestable{fmt.Sprintf(format, args...)} }

// Facts is what the prober finds out about the target first. Cases that build upon something which is not
// so are not testable.
type Facts struct {
	AsksCertificate bool   `json:"asks_certificate"` // of TLS clients
	Forwards        bool   `json:"forwards"`         // what the trigger asks for, to the prober's names
	WhyNot          string `json:"why_not,omitempty"`
	OffersAlias     bool   `json:"offers_alias"` // in the Via of requests over TLS
	HonoursAlias    bool   `json:"honours_alias"`
}

// Run runs the cases, one after another, and returns what came of each. The error is for a target that
// cannot be probed at all, or ctx.
func (p *Prober) Run(ctx context.Context) (*Report, error) {
	defer p.silence()
	if p.cfg.DNS.IsValid() {
		z, err := newZone(p.cfg.DNS, p.cfg.Names)
		if err != nil {
			return nil, err
		}
		defer z.close()
		p.zone = z
		for _, name := range p.names() {
			z.address(name.host, name.ip)
		}
	}
	r := &Report{Target: p.cfg.Target, Address: p.target.String(), Begun: time.Now()}
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	r.Facts = p.facts
	if p.cfg.Found != nil {
		p.cfg.Found(p.facts)
	}
	for _, k := range cases {
		if p.cfg.Only != nil && !p.cfg.Only.MatchString(k.id) {
			continue
		}
		result := p.run(ctx, k)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("conformance: %w", ctx.Err())
		}
		r.add(result)
		if p.cfg.Progress != nil {
			p.cfg.Progress(result)
		}
	}
	r.Seconds = time.Since(r.Begun).Seconds()
	return r, nil
}

// run runs one case.
func (p *Prober) run(ctx context.Context, k probeCase) Result {
	c := p.newProbe(ctx)
	result := Result{Clause: clause(k.id), Does: k.does, Verdict: Passed}
	err := p.missing(k.needs)
	if err == nil {
		err = k.run(c)
	}
	c.close()
	var failed *failure
	var not *untestable
	switch {
	case errors.As(err, &failed):
		result.Verdict, result.Reason = Failed, failed.text
	case errors.As(err, &not):
		result.Verdict, result.Reason = NotTestable, not.text
	case err != nil:
		result.Verdict, result.Reason = NotTestable, err.Error()
	}
	c.locked(func() { result.Seen = c.lines })
	result.Seconds = time.Since(c.begun).Seconds()
	return result
}

// missing says what a case needs and the target or the configuration has not.
func (p *Prober) missing(n need) error {
	switch {
	case n&needTrigger != 0 && !p.facts.Forwards:
		return untestablef("%s", p.facts.WhyNot)
	case n&needAlias != 0 && !p.facts.HonoursAlias:
		return untestablef("the target honours no offer of an alias, which its policy may decide")
	case n&needOffer != 0 && !p.facts.OffersAlias:
		return untestablef("the target offers no alias")
	case n&needSecondDomain != 0 && p.cfg.SecondDomain == "":
		return untestablef("no second domain of the target is known: --second-domain")
	case n&needSecondAddress != 0 && !p.cfg.Second.IsValid():
		return untestablef("the prober has no second IP address: --second")
	case n&needDNS != 0 && p.zone == nil:
		return untestablef("the prober answers no DNS questions: --dns")
	}
	return nil
}

// look finds the facts.
func (p *Prober) look(ctx context.Context) error {
	c := p.newProbe(ctx)
	defer c.close()
	good := c.domain("a")
	l, err := c.listen(good)
	if err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	plain := c.alias(good, "a", l.port())
	plain.params = ""
	n, status, err := c.offer(plain)
	if err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	if status == 0 {
		how := "it did not answer"
		c.locked(func() {
			if n.ended != "" {
				how = "the connection was " + n.ended
			}
		})
		return fmt.Errorf("conformance: the target takes no OPTIONS from a peer with a good certificate: %s (does it trust the prober's authority?)", how)
	}
	c.locked(func() { p.facts.AsksCertificate = n.asked })
	d, err := c.deliver("a", l.port())
	switch {
	case err != nil:
		p.facts.WhyNot = err.Error()
		return nil
	case d.arrival == nil:
		p.facts.WhyNot = fmt.Sprintf("a request to the trigger for %s arrived %s", c.host("a"), d.where())
		return nil
	}
	p.facts.Forwards = true
	p.facts.OffersAlias = offersAlias(d.arrival)
	c2 := p.newProbe(ctx)
	defer c2.close()
	if l, err = c2.listen(good); err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	if n, _, err = c2.offer(c2.alias(good, "a", l.port())); err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	d, err = c2.deliver("a", l.port())
	p.facts.HonoursAlias = err == nil && d.arrival != nil && d.over == n
	return nil
}

// offersAlias looks at the topmost Via of a request.
func offersAlias(r *arrival) bool {
	var v *sip.Via
	var err error
	if v, err = r.TopVia(); err != nil {
		return false
	}
	return v.Alias
}
