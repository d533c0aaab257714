package node

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-sip/tandem/internal/config"
)

// Reload puts another configuration into force: certificates, trust, domains, access, peers, routes, resolvers,
// the level of the log and Timer C. Everything that can fail is done before anything is changed, so that after
// an error the configuration in force goes on as though nothing had been asked. A configuration that differs in
// something which is taken at the start only is refused as a whole, with a *config.Error that names the lines:
// so what the file says is what is in force, always.
//
// When Reload returns, every live connection has been held against the new rules. One whose peer is not believed
// any more, or whose domain is not served any more, is found by no request, lets its transactions end and is
// closed (RFC 5923, Section 8.3). Requests under way keep the rules that they began with.
func (n *Node) Reload(cfg *config.Config) error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	old := n.inForce.Load()
	if problems := fixed(old.cfg, cfg); len(problems) > 0 {
		return &config.Error{Problems: problems}
	}
	s, err := newSettings(cfg, old)
	if err != nil {
		return err
	}
	if err := n.net.Check(s.domains); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	// Nothing below fails: that Check lets pass what Update takes is tested there.
	n.inForce.Store(s)
	n.loaded.Store(time.Now().UnixNano())
	n.core.Update(s.rules(n.net.Addrs()))
	if err := n.net.Update(s.domains); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if n.running.Load() {
		n.export(cfg)
	}
	n.pairs.update()
	n.troubles.keep(cfg.Peers)
	n.configureLevel(cfg.Log.Level)
	if s.finder != old.finder {
		old.finder.Close() // whoever waits for it asks the new one
	}
	return nil
}

// ReloadFrom puts what load returns into force, as Reload does, and counts what became of it.
func (n *Node) ReloadFrom(load func() (*config.Config, error)) error {
	cfg, err := load()
	if err == nil {
		err = n.Reload(cfg)
	}
	if err != nil {
		n.reloadsRefused.Add(1)
		return err
	}
	n.reloads.Add(1)
	return nil
}

// Config returns the configuration that is in force.
func (n *Node) Config() *config.Config { return n.inForce.Load().cfg }

// fixed returns what cannot be changed while messages go on, and would be.
func fixed(old, cfg *config.Config) (problems []config.Problem) {
	differs := func(key, format string, args ...any) {
		problems = append(problems, config.Problem{
			File: cfg.File, Line: cfg.Line(key), Key: key,
			Text: fmt.Sprintf(format, args...) + " cannot be changed by a reload: upgrade in place (`tandem upgrade`), which loses no call, or put back what was there",
		})
	}
	fixedListeners(old, cfg, differs)
	if is, was := cfg.Admin.Listen, old.Admin.Listen; is != was {
		differs("admin", "the admin address (%s instead of %s)", orNone(is.IsValid(), is), orNone(was.IsValid(), was))
	}
	if old.Admin.Listen.IsValid() && (len(cfg.Admin.Certificate.Certificate) > 0) != (len(old.Admin.Certificate.Certificate) > 0) {
		differs("admin", "whether the admin API is served over TLS")
	}
	if was, is := plainHost(old), plainHost(cfg); was != is {
		differs("domains[0].sent_by", "%s instead of %s, which the listeners on all addresses advertise without TLS,", orNone(is != "", is), orNone(was != "", was))
	}
	if old.Trace.OTLP != cfg.Trace.OTLP {
		differs("trace.otlp", "who is told of spans")
	}
	if old.Log.JSON != cfg.Log.JSON {
		differs("log.format", "the format of the log")
	}
	fixedFields("limits", old.Limits, cfg.Limits, differs)
	fixedFields("sctp", old.SCTP, cfg.SCTP, differs)
	fixedFields("timers", old.Timers, cfg.Timers, differs, "timer_c")
	slices.SortStableFunc(problems, func(a, b config.Problem) int { return a.Line - b.Line })
	return problems
}

// fixedListeners compares the addresses to listen on, whose order counts: the first of a kind is dialed from.
func fixedListeners(old, cfg *config.Config, differs func(key, format string, args ...any)) {
	has := func(list []config.Listen, l config.Listen) bool {
		return slices.ContainsFunc(list, func(o config.Listen) bool { return o.Transport == l.Transport && o.Addr == l.Addr })
	}
	same := len(old.Listen) == len(cfg.Listen)
	for i, l := range cfg.Listen {
		if !has(old.Listen, l) {
			differs(fmt.Sprintf("listen[%d]", i), "%s is new: the addresses to listen on", l)
			return
		}
		same = same && old.Listen[i].Transport == l.Transport && old.Listen[i].Addr == l.Addr
	}
	for _, l := range old.Listen {
		if !has(cfg.Listen, l) {
			differs("listen", "%s is missing: the addresses to listen on", l)
			return
		}
	}
	if !same {
		differs("listen", "the order of the addresses to listen on, of which the first of a transport is dialed from,")
	}
}

// fixedFields compares the fields of two structs, which are called in the file as in Go but for the case.
func fixedFields(section string, old, is any, differs func(key, format string, args ...any), free ...string) {
	was, now := reflect.ValueOf(old), reflect.ValueOf(is)
	for i := range was.NumField() {
		key := keyOf(was.Type().Field(i).Name)
		if a, b := was.Field(i).Interface(), now.Field(i).Interface(); a != b && !slices.Contains(free, key) {
			differs(section+"."+key, "it (%v instead of %v)", b, a)
		}
	}
}

// keyOf returns how the file calls a field: start_line for StartLine.
func keyOf(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// orNone returns a value as a text, or that there is none.
func orNone(has bool, v any) string {
	if !has {
		return "none"
	}
	return fmt.Sprint(v)
}

// plainHost returns the host that listeners without TLS advertise because they have no address of their own:
// that of the first domain with a certificate. It is empty when no listener needs it.
func plainHost(cfg *config.Config) string {
	needed := slices.ContainsFunc(cfg.Listen, func(l config.Listen) bool {
		return !l.Transport.Secure() && l.Addr.Addr().IsUnspecified()
	})
	if needed && len(cfg.Trust.CA) > 0 {
		for _, d := range cfg.Domains {
			if len(d.Certificate.Certificate) > 0 {
				return hostPart(d.SentBy)
			}
		}
	}
	return ""
}

// maxFormer bounds the hosts that are remembered as having been advertised.
const maxFormer = 16

// formerHosts returns the hosts that stood in Record-Route for domains which are still served, the latest last:
// requests of the dialogs from that time come with them in Route.
func formerHosts(cfg *config.Config, old *settings) []string {
	list := slices.Clone(old.former)
	for _, was := range old.cfg.Domains {
		host := hostPart(was.SentBy)
		at := slices.IndexFunc(cfg.Domains, func(d config.Domain) bool { return d.Name == was.Name })
		if at >= 0 && hostPart(cfg.Domains[at].SentBy) != host && !slices.Contains(list, host) {
			list = append(list, host)
		}
	}
	return list[max(0, len(list)-maxFormer):]
}
