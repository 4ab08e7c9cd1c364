package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/tracing"
)

// traces sends the spans of sampled calls to a collector: in the background, bounded, and thrown away when it does not take them.
type traces struct {
	provider *sdk.TracerProvider
	sample   float64
}

// openTraces prepares to send; a collector that is not there is no error. It returns nil when tracing is off.
func openTraces(ctx context.Context, c config.Trace, node, version string, log *slog.Logger) (*traces, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Endpoint))
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	// The library has one place for its complaints in a process, and would print them.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces could not be sent", "error", err) }))
	who := resource.NewSchemaless(
		attribute.String("service.name", "parley"), attribute.String("service.version", version), attribute.String("service.instance.id", node),
	)
	return &traces{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(who), sdk.WithSampler(sdk.AlwaysSample())), c.Sample}, nil
}

// tracer is nil when tracing is off.
func (t *traces) tracer() *tracing.Tracer {
	if t == nil {
		return nil
	}
	return tracing.New(t.provider, t.sample)
}

// closeTraces is how long the last spans may take to be sent.
const closeTraces = 3 * time.Second

// close sends what waits.
func (t *traces) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTraces)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// traceRelay has the relay tell the spans of traced events when it applies them.
func (k *keeper) traceRelay(c *chat.Commit) {
	for _, e := range c.Events {
		if e.Span != nil {
			for _, r := range k.relays { // that of the room's store will come by it
				r.Trace(e.Room, e.Seq, e.Span)
			}
		}
	}
}
