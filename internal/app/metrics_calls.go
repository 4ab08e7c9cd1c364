package app

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-im/parley/internal/api"
	"github.com/parley-im/parley/protocol"
)

// callMetrics are what calls are answered, and how soon. A method's series appear with its first call.
type callMetrics struct {
	seconds *prometheus.HistogramVec
	total   *prometheus.CounterVec
	methods map[callKey]*methodMetrics // fixed
	scopes  map[protocol.Scope]*atomic.Uint64
}

type callKey struct {
	http   bool
	method string
}

// methodMetrics are the series of one method on one transport; those that every call needs are looked up once.
type methodMetrics struct {
	once    sync.Once
	seconds prometheus.Observer
	ok      prometheus.Counter
}

// codeOK stands for no error.
const codeOK = "ok"

func newCallMetrics(m *metrics) *callMetrics {
	const secondsHelp, totalHelp = "From a call's last byte until its answer was on its way, by method; of message.send it is the time until it is durable.", "Calls that were answered, by method and code; ok is no error."
	byMethod, byCode := []string{"transport", "method"}, []string{"transport", "method", "code"}
	c := &callMetrics{
		seconds: prometheus.NewHistogramVec(histogramOpts(m.add("call_seconds", "histogram", secondsHelp, byMethod...), secondsHelp, coarseSeconds), byMethod),
		total:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.add("calls_total", "counter", totalHelp, byCode...), Help: totalHelp}, byCode),
		methods: map[callKey]*methodMetrics{},
		scopes: map[protocol.Scope]*atomic.Uint64{
			protocol.ScopeUser: new(atomic.Uint64), protocol.ScopeRoom: new(atomic.Uint64), protocol.ScopeSlowMode: new(atomic.Uint64),
		},
	}
	for _, method := range protocol.Methods() {
		c.methods[callKey{false, method.Name}] = &methodMetrics{}
		c.methods[callKey{true, method.Name}] = &methodMetrics{}
	}
	m.registry.MustRegister(c.seconds, c.total)
	return c
}

// answered is an api.Server's Options.Answered.
func (c *callMetrics) answered(a api.Answer) {
	transport := "session"
	if a.HTTP {
		transport = "http"
	}
	m := c.methods[callKey{a.HTTP, a.Method}]
	m.once.Do(func() {
		m.seconds = c.seconds.WithLabelValues(transport, a.Method)
		m.ok = c.total.WithLabelValues(transport, a.Method, codeOK)
	})
	m.seconds.Observe(a.Took.Seconds())
	if a.Err == nil {
		m.ok.Inc()
		return
	}
	c.total.WithLabelValues(transport, a.Method, string(a.Err.Code)).Inc()
	if n := c.scopes[a.Err.Scope]; n != nil {
		n.Add(1)
	}
}

// limited tells how many calls were refused for each scope.
func (c *callMetrics) limited(tell tellFunc) {
	for scope, n := range c.scopes {
		tell(float64(n.Load()), string(scope))
	}
}
