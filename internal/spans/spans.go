// Package spans tells a collector of OpenTelemetry, by OTLP over HTTP, how requests go: when they came, what was looked up,
// which connection was chosen and why, and what was answered.
//
// Which requests are followed is decided by chance. Ids are always our own: what a peer writes does not choose them.
// What the collector does not take in time is dropped.
package spans

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// Config says where spans go. Endpoint is required.
type Config struct {
	// Endpoint is the URL that is posted to, such as http://127.0.0.1:4318/v1/traces.
	Endpoint string
	// Ratio is of how many requests one is followed, from 0 to 1.
	Ratio float64
	// Version is that of the program.
	Version string
}

// Tracer makes spans and sends them. Begin may be called from any goroutine.
type Tracer struct {
	ratio    float64
	provider *sdk.TracerProvider
	tracer   oteltrace.Tracer
}

const (
	maxQueue      = 4096 // spans that wait
	exportTimeout = 10 * time.Second
	maxText       = 256 // bytes of a peer's text in an attribute
)

// New makes a Tracer. It does not wait for the collector.
func New(ctx context.Context, cfg Config) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(cfg.Endpoint), otlptracehttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, fmt.Errorf("spans: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(maxQueue), sdk.WithExportTimeout(exportTimeout)),
		sdk.WithSampler(sdk.AlwaysSample()), // Begin has chosen already
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "tandem"), attribute.String("service.version", cfg.Version))),
		sdk.WithRawSpanLimits(sdk.SpanLimits{
			AttributeValueLengthLimit: 4 * maxText, AttributeCountLimit: 64, EventCountLimit: 64, LinkCountLimit: 1,
			AttributePerEventCountLimit: 8, AttributePerLinkCountLimit: 8,
		}),
	)
	return &Tracer{ratio: cfg.Ratio, provider: provider, tracer: provider.Tracer("github.com/tandem-sip/tandem")}, nil
}

// Close sends what waits, until ctx is done, and ends the Tracer.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("spans: %w", err)
	}
	return nil
}

// Begin begins to follow a request, or returns nil when it is not chosen.
func (t *Tracer) Begin(req *sip.Message, src *transaction.Source) proxy.Span {
	if rand.Float64() >= t.ratio {
		return nil
	}
	ctx, span := t.tracer.Start(context.Background(), short(req.Method()), oteltrace.WithNewRoot(), oteltrace.WithSpanKind(oteltrace.SpanKindServer),
		oteltrace.WithAttributes(
			attribute.String("sip.method", short(req.Method())), attribute.String("sip.call_id", short(req.CallID())),
			attribute.String("sip.request_uri", short(req.RequestURI())), attribute.String("network.peer.address", src.Remote.Addr().String()),
			attribute.Int("network.peer.port", int(src.Remote.Port())), attribute.String("network.transport", src.Remote.Transport.String()),
			attribute.String("tandem.peer", src.Peer), attribute.String("tandem.identity", short(src.Identity)),
			attribute.String("tandem.local_domain", src.LocalDomain),
		))
	return &request{tracer: t.tracer, ctx: ctx, span: span}
}

// request is one request that is followed.
type request struct {
	tracer oteltrace.Tracer
	ctx    context.Context //nolint:containedctx // the parent of the spans to come
	span   oteltrace.Span

	// mu guards the fields below.
	mu   sync.Mutex
	last time.Time // of the latest response
}

// Locating begins a span of a look-up.
func (r *request) Locating(u *sip.URI) func(resolve.Answer, error) {
	_, span := r.tracer.Start(r.ctx, "resolve", oteltrace.WithAttributes(attribute.String("tandem.next_hop", short(u.String()))))
	return func(a resolve.Answer, err error) {
		addresses := make([]string, len(a.Addresses))
		for i, to := range a.Addresses {
			addresses[i] = to.String()
		}
		span.SetAttributes(attribute.StringSlice("tandem.addresses", addresses), attribute.Bool("tandem.stale", a.Stale))
		end(span, err)
	}
}

// Connecting begins a span of the search for a connection.
func (r *request) Connecting(h proxy.Hop) func(proxy.Flow, error) {
	_, span := r.tracer.Start(r.ctx, "connect", oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		attribute.String("tandem.decision.address", h.To.String()), attribute.String("tandem.decision.local_domain", h.LocalDomain)))
	return func(f proxy.Flow, err error) {
		if d, ok := f.(interface{ Decision() *trace.Decision }); ok && err == nil {
			span.SetAttributes(decision(d.Decision())...)
		}
		end(span, err)
	}
}

// decision has a decision as attributes, in the words of the API.
func decision(d *trace.Decision) (list []attribute.KeyValue) {
	for _, a := range d.LogValue().Group() {
		key := "tandem.decision." + a.Key
		switch a.Value.Kind() {
		case slog.KindString:
			list = append(list, attribute.String(key, a.Value.String()))
		case slog.KindUint64:
			list = append(list, attribute.Int64(key, int64(a.Value.Uint64())))
		default:
			if rows, ok := a.Value.Any().([]string); ok {
				list = append(list, attribute.StringSlice(key, rows))
			}
		}
	}
	return list
}

// Responded notes a response.
func (r *request) Responded(status int) {
	now := time.Now()
	r.mu.Lock()
	r.last = now
	r.mu.Unlock()
	r.span.AddEvent("response", oteltrace.WithTimestamp(now), oteltrace.WithAttributes(attribute.Int("sip.status", status)))
	if status >= 200 {
		r.span.SetAttributes(attribute.Int("sip.status", status))
	}
	if status >= 500 {
		r.span.SetStatus(codes.Error, fmt.Sprint(status))
	}
}

// End ends the span, with its last response if there was one.
func (r *request) End() {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last.IsZero() {
		last = time.Now()
	}
	r.span.End(oteltrace.WithTimestamp(last))
}

// end ends a span with an error or without.
func end(span oteltrace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, short(err.Error()))
	}
	span.End()
}

// short is a copy of a peer's text, cut: the text itself is part of a message.
func short(s string) string {
	return strings.ToValidUTF8(strings.Clone(s[:min(len(s), maxText)]), "\ufffd")
}
