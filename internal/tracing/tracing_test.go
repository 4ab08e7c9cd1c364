package tracing_test

import (
	"context"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/parley-im/parley/internal/tracing"
)

func newTracer(sample float64) (*tracing.Tracer, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return tracing.New(sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithSampler(sdk.AlwaysSample())), sample), spans
}

const (
	traceID    = "0af7651916cd43dd8448eb211c80319c"
	sampled    = "00-" + traceID + "-b7ad6b7169203331-01"
	notSampled = "00-" + traceID + "-b7ad6b7169203331-00"
)

// One whose word counts says whether a call is sampled; anybody may say of which trace it is a part.
func TestParent(t *testing.T) {
	tests := []struct {
		name   string
		sample float64
		parent tracing.Parent
		want   bool
		part   bool // of the parent's trace
	}{
		{"none, all sampled", 1, tracing.Parent{}, true, false},
		{"none, none sampled", 0, tracing.Parent{}, false, false},
		{"trusted, sampled", 0, tracing.Parent{Traceparent: sampled, Trusted: true}, true, true},
		{"trusted, not sampled", 1, tracing.Parent{Traceparent: notSampled, Trusted: true}, false, false},
		{"not trusted, sampled", 0, tracing.Parent{Traceparent: sampled}, false, false},
		{"not trusted, all sampled", 1, tracing.Parent{Traceparent: notSampled}, true, true},
		{"not a traceparent", 1, tracing.Parent{Traceparent: "00-x-y-01", Trusted: true}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tracer, spans := newTracer(tt.sample)
			s := tracer.Begin("message.send", time.Now(), tt.parent)
			s.End(time.Now(), tracing.Facts{})
			got := spans.GetSpans()
			if (s != nil) != tt.want || (len(got) == 1) != tt.want {
				t.Fatalf("sampled: %v, %d spans", s != nil, len(got))
			}
			if tt.want && (got[0].SpanContext.TraceID().String() == traceID) != tt.part {
				t.Errorf("the trace is %s", got[0].SpanContext.TraceID())
			}
		})
	}
}

// A part that another node adds is in the same trace, under the span that was named to it.
func TestResume(t *testing.T) {
	here, _ := newTracer(1)
	there, spans := newTracer(0)
	s := here.Begin("message.send", time.Now(), tracing.Parent{})
	now := time.Now()
	there.Resume(s.Traceparent()).Part("fan-out", now, now.Add(time.Second), tracing.Facts{Room: "r", Seq: 7, Followers: 2})
	got := spans.GetSpans()
	if len(got) != 1 || got[0].Parent.TraceID().String() != s.Traceparent()[3:35] || got[0].EndTime.Sub(got[0].StartTime) != time.Second || len(got[0].Attributes) != 3 {
		t.Fatalf("%s has the parts %+v", s.Traceparent(), got)
	}
	if there.Resume("what is none") != nil || there.Resume(notSampled) != nil {
		t.Error("what is no sampled span was resumed")
	}
}

// What is not sampled costs nothing.
func TestNothingIsAllocated(t *testing.T) {
	ctx := context.Background()
	never, _ := newTracer(0)
	for name, tracer := range map[string]*tracing.Tracer{"off": nil, "not sampled": never} {
		n := testing.AllocsPerRun(100, func() {
			s := tracer.Begin("message.send", time.Time{}, tracing.Parent{})
			s = tracing.From(tracing.With(ctx, s))
			s.Part("transaction", time.Time{}, time.Time{}, tracing.Facts{Room: "r", Seq: 1}).Part("offer", time.Time{}, time.Time{}, tracing.Facts{})
			s.End(time.Time{}, tracing.Facts{Code: "internal"})
			if s != nil || s.Traceparent() != "" {
				t.Fatal("a span came from nowhere")
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
