package app

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/internal/store"
)

// metrics is what /metrics tells. What the parts count themselves is read when it is asked for; what takes time is observed as it happens: once for each
// transaction, fan-out and answered call.
type metrics struct {
	version  string
	registry *prometheus.Registry
	listed   []metric

	waited, took    prometheus.Histogram // of a transaction of the log
	fannedOut, hint prometheus.Histogram
	put             prometheus.Histogram
	calls           *callMetrics
}

// metric is one line of the list of metrics in docs/monitoring.md.
type metric struct {
	name, kind, help string
	labels           []string
}

// The bounds of the histograms' buckets in seconds: few, since servers that understand native histograms get finer ones.
var (
	fineSeconds   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
	coarseSeconds = []float64{.001, .005, .025, .1, .5, 2.5, 10}
)

func newMetrics(version string) *metrics {
	m := &metrics{version: version, registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsScheduler)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.labelled("build_info", "gauge", "1, with the version of Parley and of Go.", []string{"version", "go"}, func(tell tellFunc) {
		tell(1, version, runtime.Version())
	})
	m.waited = m.histogram("log_wait_seconds", "How long the first append or cursor move of a transaction waited for it to begin.", fineSeconds)
	m.took = m.histogram("log_transaction_seconds", "From the beginning of a transaction of the log until it was durable.", fineSeconds)
	m.fannedOut = m.histogram("fanout_seconds", "From a commit on this node until the last session here was offered its events.", fineSeconds)
	m.hint = m.histogram("hint_seconds", "From an event's `at`, set by the node that stored it, until the last session here was offered it. "+
		"It compares the clocks of two machines: believe it only where they are kept together.", fineSeconds)
	m.put = m.histogram("feed_put_seconds", "How long the engine of the feed took to acknowledge a batch.", fineSeconds)
	m.calls = newCallMetrics(m)
	return m
}

// committed is a store's Options.Observe.
func (m *metrics) committed(t store.Transaction) {
	m.waited.Observe(t.Waited.Seconds())
	m.took.Observe(t.Took.Seconds())
}

// offered is a hub's Options.Observe.
func (m *metrics) offered(f delivery.FanOut) {
	switch f.Origin {
	case delivery.OfCommit:
		m.fannedOut.Observe(f.Took.Seconds())
	case delivery.OfHint:
		m.hint.Observe(f.Took.Seconds())
	}
}

const namespace = "parley"

// add puts a metric on the list and tells its whole name.
func (m *metrics) add(name, kind, help string, labels ...string) string {
	name = namespace + "_" + name
	m.listed = append(m.listed, metric{name, kind, help, labels})
	return name
}

func (m *metrics) counter(name, help string, value func() uint64) {
	opts := prometheus.CounterOpts{Name: m.add(name, "counter", help), Help: help}
	m.registry.MustRegister(prometheus.NewCounterFunc(opts, func() float64 { return float64(value()) }))
}

func (m *metrics) gauge(name, help string, value func() int) {
	opts := prometheus.GaugeOpts{Name: m.add(name, "gauge", help), Help: help}
	m.registry.MustRegister(prometheus.NewGaugeFunc(opts, func() float64 { return float64(value()) }))
}

// seconds is a gauge of a time.
func (m *metrics) seconds(name, help string, value func() time.Duration) {
	opts := prometheus.GaugeOpts{Name: m.add(name, "gauge", help), Help: help}
	m.registry.MustRegister(prometheus.NewGaugeFunc(opts, func() float64 { return value().Seconds() }))
}

func (m *metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(histogramOpts(m.add(name, "histogram", help), help, buckets))
	m.registry.MustRegister(h)
	return h
}

func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.2, NativeHistogramMaxBucketNumber: 80, NativeHistogramMinResetDuration: time.Hour,
	}
}

// tellFunc takes a value with its labels, in the order in which they were named.
type tellFunc func(value float64, labels ...string)

// labelled is a metric whose values, each with its labels, are read when it is asked for. Kind is counter or gauge.
func (m *metrics) labelled(name, kind, help string, labels []string, read func(tell tellFunc)) {
	c := &reader{kind: prometheus.GaugeValue, read: read}
	if kind == "counter" {
		c.kind = prometheus.CounterValue
	}
	c.desc = prometheus.NewDesc(m.add(name, kind, help, labels...), help, labels, nil)
	m.registry.MustRegister(c)
}

// reader is a prometheus.Collector that reads.
type reader struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(tellFunc)
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(ch chan<- *prometheus.Desc) { ch <- r.desc }

// Collect implements prometheus.Collector.
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	r.read(func(value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(r.desc, r.kind, value, labels...)
	})
}

// register makes what the parts of the server count readable.
func (a *App) register() {
	m := a.metrics
	a.registerLog(m)
	a.registerGateway(m)
	a.registerDelivery(m)
	a.registerPresence(m)
	a.registerRelay(m)
	a.registerShards(m)
	a.registerFeed(m)
	a.registerBroker(m)
	a.registerState(m)
	a.registerCluster(m)
}

func (a *App) registerLog(m *metrics) {
	m.counter("log_transactions_total", "Transactions of the log that were committed.", func() uint64 { return a.store.Stats().Transactions })
	m.counter("log_events_total", "Events that were stored.", func() uint64 { return a.store.Stats().Events })
	m.counter("log_cursors_total", "Moves of cursors that were stored.", func() uint64 { return a.store.Stats().Cursors })
	m.counter("log_failures_total", "Attempts at a transaction that failed; most are repeated.", func() uint64 { return a.store.Stats().Failures })
	m.counter("log_refused_total", "Appends and cursor moves answered unavailable.", func() uint64 { return a.store.Stats().Refused })
	lane := []string{"lane"}
	m.labelled("log_waiting", "gauge", "Appends and cursor moves that wait for a transaction, by lane: waiting is for rooms that another node holds.", lane, func(tell tellFunc) {
		for _, l := range a.store.Stats().Lanes {
			tell(float64(l.Waiting), l.Name)
		}
	})
	m.labelled("log_waiting_bytes", "gauge", "Bytes of what waits for a transaction, by lane.", lane, func(tell tellFunc) {
		for _, l := range a.store.Stats().Lanes {
			tell(float64(l.Bytes), l.Name)
		}
	})
	m.gauge("log_waiting_bytes_limit", "Bound of parley_log_waiting_bytes in each lane: what comes then is answered unavailable.", func() int { return a.store.Stats().LaneBytes })
	m.gauge("store_connections", "Connections to the store in use: of all on PostgreSQL, of those that read on SQLite.", func() int { return a.store.Stats().Connections })
	m.gauge("store_connections_limit", "Bound of parley_store_connections: who comes then waits.", func() int { return a.store.Stats().ConnectionsMost })
}

func (a *App) registerGateway(m *metrics) {
	m.gauge("connections", "Connections open now.", func() int { return a.gateway.Stats().Connections })
	m.gauge("connections_limit", "Bound of parley_connections: handshakes are then answered with 503.", func() int { return a.gateway.Stats().MaxConnections })
	m.gauge("connections_unauthenticated", "Of the connections, those without a hello.", func() int { return a.gateway.Stats().Unauthenticated })
	m.gauge("connections_unauthenticated_limit", "Bound of parley_connections_unauthenticated: handshakes are then answered with 503.", func() int { return a.gateway.Stats().MaxUnauthenticated })
	m.counter("connections_opened_total", "Connections opened.", func() uint64 { return a.gateway.Stats().Opened })
	m.labelled("transport_sessions", "gauge", "Sessions by transport: websocket, event_stream or long_poll. All count as connections.", []string{"transport"}, func(tell tellFunc) {
		for transport, n := range a.gateway.Stats().Sessions {
			tell(float64(n), gateway.Transport(transport).String())
		}
	})
	m.counter("handshakes_refused_total", "Handshakes answered with 503.", func() uint64 { return a.gateway.Stats().Refused })
	m.counter("handshakes_limited_total", "Handshakes answered with 429: too many from one address.", func() uint64 { return a.gateway.Stats().Limited })
	m.counter("received_bytes_total", "Bytes that clients sent.", func() uint64 { return a.gateway.Stats().BytesIn })
	m.counter("sent_bytes_total", "Bytes sent to clients.", func() uint64 { return a.gateway.Stats().BytesOut })
	m.counter("writes_total", "Writes to sockets.", func() uint64 { return a.gateway.Stats().Writes })
	m.counter("received_frames_total", "Frames that clients sent.", func() uint64 { return a.gateway.Stats().FramesIn })
	m.counter("offers_refused_total", "Batches of events that a session's queue had no room for; it is caught up later.", func() uint64 { return a.gateway.Stats().RefusedOffers })
	m.gauge("queue_bytes", "Bytes that wait for sockets, over all sessions.", func() int { return int(a.gateway.Stats().QueueBytes) })
	m.gauge("session_queue_bytes_limit", "Bound of what waits for one session's socket: events are then refused, and calls no longer read.", func() int { return a.gateway.Stats().MaxQueueBytes })
	m.labelled("closes_total", "counter", "Sessions that ended, by close code.", []string{"code"}, func(tell tellFunc) {
		for code, n := range a.gateway.Stats().Closes {
			tell(float64(n), strconv.Itoa(int(code)))
		}
	})
	m.labelled("rate_limited_total", "counter", "Calls refused for their rate, by the scope of the limit.", []string{"scope"}, func(tell tellFunc) {
		tell(float64(a.gateway.Stats().RateLimited), "connection")
		m.calls.limited(tell)
	})
	m.gauge("http_calls", "HTTP calls that are being carried out.", func() int { return a.api.Stats().HTTPCalls })
	m.gauge("known_users", "Users who are remembered to exist, so that the store is not asked.", func() int { return a.api.Stats().KnownUsers })
	m.gauge("known_users_limit", "Bound of parley_known_users: all are then forgotten.", func() int { return a.api.Stats().KnownUsersMost })
}

func (a *App) registerDelivery(m *metrics) {
	m.gauge("sessions", "Sessions that follow rooms on this node.", func() int { return a.hub.Stats().Sessions })
	m.gauge("watchers", "Sessions in live rooms on this node, once for each room.", func() int { return a.hub.Stats().Watchers })
	m.gauge("rooms_followed", "Rooms that this node follows, those left within a minute too.", func() int { return a.hub.Stats().Rooms })
	m.gauge("ring_bytes", "Recent frames kept for replays.", func() int { return a.hub.Stats().RingBytes })
	m.gauge("ring_bytes_limit", "Bound of parley_ring_bytes: the oldest frames go.", func() int { return a.hub.Stats().RingMost })
	m.gauge("fanout_backlog_bytes", "Frames that wait to be fanned out.", func() int { return a.hub.Stats().Backlog })
	m.gauge("fanout_backlog_bytes_limit", "Bound of parley_fanout_backlog_bytes: what comes then is read from the store in its turn.", func() int { return a.hub.Stats().BacklogMost })
	m.gauge("fanout_rooms_waiting", "Rooms that wait for a worker; parley_rooms_followed is the bound.", func() int { return a.hub.Stats().Fanning })
	m.counter("fanout_events_total", "Events fanned out on this node.", func() uint64 { return a.hub.Stats().Events })
	m.counter("fanout_gathered_total", "Fan-outs in crowded rooms of several events that had gathered.", func() uint64 { return a.hub.Stats().Gathered })
	m.counter("skipped_events_total", "Events left out in sampled rooms, counted once for all who watch.", func() uint64 { return a.hub.Stats().Skipped })
	m.gauge("catchup_waiting", "Sessions that wait to be caught up; parley_sessions is the bound.", func() int { return a.hub.Stats().Lagging })
	m.gauge("catchup_reads", "Reads of the store under way for sessions that catch up and for holes.", func() int { return a.hub.Stats().Reads })
	m.gauge("catchup_reads_limit", "Bound of parley_catchup_reads: who comes then waits.", func() int { return a.hub.Stats().ReadsMost })
	m.counter("resets_total", "Sessions told to load a room anew.", func() uint64 { return a.hub.Stats().Resets })
	m.counter("fills_total", "Holes in the stream of hints that were read from the store.", func() uint64 { return a.hub.Stats().Fills })
	m.counter("replayed_events_total", "Events replayed to sessions.", func() uint64 { return a.hub.Stats().Replayed })
}

func (a *App) registerPresence(m *metrics) {
	m.gauge("presence_users_online", "Users with a session on this node, or without one for less than 10 s.", func() int { return a.seen.Stats().Online })
	m.gauge("presence_subscriptions", "Subscriptions to users' presence, over all sessions; each has at most 1,000.", func() int { return a.seen.Stats().Subscriptions })
	m.counter("presence_signals_total", "Presence signals sent.", func() uint64 { return a.seen.Stats().Signals })
}

func (a *App) registerRelay(m *metrics) {
	m.gauge("relay_rooms_behind", "Rooms whose last events were not yet in the search index when the relay looked last; those of this node's share.", func() int { return a.relayed().Behind })
	m.seconds("relay_lag_seconds", "How old the oldest of these events was.", func() time.Duration { return a.relayed().Lag })
	m.counter("relay_events_total", "Events that the relay has applied.", func() uint64 { return a.relayed().Applied })
	m.counter("relay_overtaken_total", "Transactions of the relay that another node's made needless.", func() uint64 { return a.relayed().Overtaken })
	m.counter("relay_failures_total", "Transactions of the relay that failed; all are repeated.", func() uint64 { return a.relayed().Failures })

	m.gauge("retention_rooms_due", "Rooms of the deployment that had something to be pruned when this node looked last.", func() int { return a.swept().Due })
	m.gauge("retention_swept_timestamp_seconds", "When this node last had pruned all that was due; 0 before the first time.", func() int { return int(max(a.swept().Swept.Unix(), 0)) })
	m.counter("retention_events_total", "Events pruned by this node.", func() uint64 { return a.swept().Pruned })
	m.counter("retention_failures_total", "Transactions of the retention sweep that failed; what they were about is tried again.", func() uint64 { return a.swept().Failures })
}

func (a *App) registerBroker(m *metrics) {
	m.counter("broker_published_total", "Hints handed to the broker.", func() uint64 { return a.live.Stats().Published })
	m.counter("broker_received_total", "Hints that the broker brought.", func() uint64 { return a.live.Stats().Received })
	m.counter("broker_dropped_total", "Hints that the broker did not take; what they were about is found by seq.", func() uint64 { return a.live.Stats().Dropped })
	m.gauge("broker_connected", "1 while the broker is connected.", func() int { return oneIf(a.live.Stats().Connected) })
	m.gauge("broker_healthy", "1 while the broker brings this node its own probes, one a second; otherwise the store is asked what has changed.", func() int { return oneIf(a.hub.Stats().Healthy) })
	box := []string{"box"}
	m.labelled("broker_mailbox_bytes", "gauge", "Hints that wait: in for this node, out for the broker.", box, func(tell tellFunc) {
		s := a.live.Stats()
		tell(float64(s.Inbox.Bytes), "in")
		tell(float64(s.Outbox.Bytes), "out")
	})
	m.labelled("broker_mailbox_bytes_limit", "gauge", "Bound of parley_broker_mailbox_bytes: hints that come then are dropped. 0: there is no such mailbox.", box, func(tell tellFunc) {
		s := a.live.Stats()
		tell(float64(s.Inbox.Limit), "in")
		tell(float64(s.Outbox.Limit), "out")
	})
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}
