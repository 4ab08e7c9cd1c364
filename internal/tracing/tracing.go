// Package tracing follows single calls through the server, from the frame that asked to the last session that hears of it, on whichever node. It is the one
// package that knows OpenTelemetry's way of saying so; what becomes of the spans is for who makes the [Tracer].
//
// A call that is sampled has a [Span], which goes wherever the call's event goes, and what is done for it is told to the span as a part. A call that is not has
// a nil one: every method of a nil Span and of a nil Tracer does nothing, and neither costs an allocation. Spans hold what [Facts] can say, so that no text of
// a user and no credential can be in a trace.
package tracing

import (
	"context"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer decides which calls are sampled. It may be used by many goroutines at once.
type Tracer struct {
	tracer trace.Tracer
	sample float64
}

// New makes a Tracer that samples a part of all calls, from 0 to 1. The provider must not leave out any of them: that has been decided.
func New(p trace.TracerProvider, sample float64) *Tracer {
	return &Tracer{p.Tracer("github.com/parley-im/parley"), sample}
}

// Span is a sampled call, or a part of one. Its methods may be called from any goroutine at any time, also after End.
type Span struct {
	tracer trace.Tracer
	span   trace.Span
}

// Facts is what may be said about a span; what is zero is left out.
type Facts struct {
	Transport string
	Code      string // of the error that a call was answered with
	Room      string
	Seq       uint64
	Batch     int   // appends and moves, or events, that shared a transaction
	Followers int   // sessions that were offered something
	Linked    *Span // another trace's span that is of the same thing
}

// Parent is a caller's own span, as a traceparent header names it.
type Parent struct {
	Traceparent string // "" is none
	Trusted     bool   // the caller may say whether the call is sampled
}

// Begin begins the span of a call that was read at a time. It returns nil when the call is not sampled.
func (t *Tracer) Begin(method string, at time.Time, of Parent) *Span {
	if t == nil {
		return nil
	}
	parent := contextOf(of.Traceparent)
	sampled := false
	if of.Trusted && parent.IsValid() {
		sampled = parent.IsSampled()
	} else {
		sampled = rand.Float64() < t.sample
	}
	if !sampled {
		return nil
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	_, span := t.tracer.Start(ctx, method, trace.WithTimestamp(at), trace.WithSpanKind(trace.SpanKindServer))
	return &Span{t.tracer, span}
}

// Resume is a span of another node, by its Traceparent, to which parts can be added here; nil for what is none.
func (t *Tracer) Resume(traceparent string) *Span {
	if t == nil {
		return nil
	}
	parent := contextOf(traceparent)
	if !parent.IsSampled() {
		return nil
	}
	return &Span{t.tracer, trace.SpanFromContext(trace.ContextWithRemoteSpanContext(context.Background(), parent))}
}

const header = "traceparent"

// contextOf reads a traceparent; what is none is not valid.
func contextOf(traceparent string) trace.SpanContext {
	if traceparent == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{header: traceparent})
	return trace.SpanContextFromContext(ctx)
}

// Traceparent is the span's name for another process, "" for nil.
func (s *Span) Traceparent() string {
	if s == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), s.span), carrier)
	return carrier[header]
}

// Part adds a part that has ended, and returns it so that it can have parts itself and be linked to.
func (s *Span) Part(name string, began, ended time.Time, f Facts) *Span {
	if s == nil {
		return nil
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(began), trace.WithAttributes(f.attributes()...)}
	if f.Linked != nil {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: f.Linked.span.SpanContext()}))
	}
	_, span := s.tracer.Start(trace.ContextWithSpan(context.Background(), s.span), name, options...)
	span.End(trace.WithTimestamp(ended))
	return &Span{s.tracer, span}
}

// End ends the span of a call. Parts may still be added.
func (s *Span) End(at time.Time, f Facts) {
	if s == nil {
		return
	}
	s.span.SetAttributes(f.attributes()...)
	if f.Code != "" {
		s.span.SetStatus(codes.Error, f.Code)
	}
	s.span.End(trace.WithTimestamp(at))
}

func (f *Facts) attributes() []attribute.KeyValue {
	var list []attribute.KeyValue
	text := func(key, value string) {
		if value != "" {
			list = append(list, attribute.String("parley."+key, value))
		}
	}
	number := func(key string, value int64) {
		if value != 0 {
			list = append(list, attribute.Int64("parley."+key, value))
		}
	}
	text("transport", f.Transport)
	text("code", f.Code)
	text("room", f.Room)
	number("seq", int64(f.Seq))
	number("batch", int64(f.Batch))
	number("followers", int64(f.Followers))
	return list
}

type contextKey struct{}

// With is a context that carries the span; ctx itself for nil.
func With(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, s)
}

// From is the span that a context carries, nil if none.
func From(ctx context.Context) *Span {
	s, _ := ctx.Value(contextKey{}).(*Span)
	return s
}
