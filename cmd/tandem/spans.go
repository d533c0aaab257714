package main

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/internal/spans"
)

// spansTimeout bounds the time for what waits when the process stops.
const spansTimeout = 2 * time.Second

// followRequests has a collector of OpenTelemetry told how requests go, if the configuration names one. What it returns
// ends that.
func followRequests(cfg *config.Config, opts *node.Options) (stop func(), err error) {
	if cfg.Trace.OTLP.To == "" {
		return func() {}, nil
	}
	log := opts.Logger
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("spans were not taken", "err", err) }))
	tracer, err := spans.New(context.Background(), spans.Config{Endpoint: cfg.Trace.OTLP.To, Ratio: cfg.Trace.OTLP.Ratio, Version: version()})
	if err != nil {
		return nil, err
	}
	opts.Trace = tracer.Begin
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), spansTimeout)
		defer cancel()
		if err := tracer.Close(ctx); err != nil {
			log.Log(ctx, slog.LevelWarn, "spans were lost at the end", "err", err)
		}
	}, nil
}
