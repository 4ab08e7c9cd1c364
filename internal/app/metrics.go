package app

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// register makes what the parts of the server count readable: each metric is read when it is asked for.
func (a *App) register(r *prometheus.Registry) {
	counter := func(name, help string, value func() uint64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "parley", Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	gauge := func(name, help string, value func() int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "parley", Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	counter("log_transactions_total", "Transactions of the log that were committed.", func() uint64 { return a.store.Stats().Transactions })
	counter("log_events_total", "Events that were stored.", func() uint64 { return a.store.Stats().Events })
	counter("log_cursors_total", "Moves of cursors that were stored.", func() uint64 { return a.store.Stats().Cursors })
	counter("log_failures_total", "Attempts at a transaction that failed; most are repeated.", func() uint64 { return a.store.Stats().Failures })
	counter("log_refused_total", "Appends and cursor moves answered unavailable.", func() uint64 { return a.store.Stats().Refused })
	gauge("log_waiting", "Appends and cursor moves that wait for a transaction.", func() int { return a.store.Stats().Waiting })
	gauge("log_waiting_bytes", "Bytes of what waits for a transaction; bounded.", func() int { return a.store.Stats().WaitingBytes })

	gauge("connections", "Connections open now.", func() int { return a.gateway.Stats().Connections })
	gauge("connections_unauthenticated", "Of them, those without a hello.", func() int { return a.gateway.Stats().Unauthenticated })
	counter("connections_opened_total", "Connections opened.", func() uint64 { return a.gateway.Stats().Opened })
	counter("handshakes_refused_total", "Handshakes answered with 503.", func() uint64 { return a.gateway.Stats().Refused })
	counter("received_bytes_total", "Bytes that clients sent.", func() uint64 { return a.gateway.Stats().BytesIn })
	counter("sent_bytes_total", "Bytes sent to clients.", func() uint64 { return a.gateway.Stats().BytesOut })
	counter("writes_total", "Writes to sockets.", func() uint64 { return a.gateway.Stats().Writes })
	counter("received_frames_total", "Frames that clients sent.", func() uint64 { return a.gateway.Stats().FramesIn })
	counter("offers_refused_total", "Batches of events that a session's queue had no room for; it is caught up later.", func() uint64 { return a.gateway.Stats().RefusedOffers })
	counter("calls_limited_total", "Calls refused for their connection's rate.", func() uint64 { return a.gateway.Stats().RateLimited })
	gauge("queue_bytes", "Bytes that wait for sockets, over all sessions.", func() int { return int(a.gateway.Stats().QueueBytes) })
	r.MustRegister(&closesCollector{a})

	gauge("rooms_followed", "Rooms that this node follows, those left within a minute too.", func() int { return a.hub.Stats().Rooms })
	gauge("ring_bytes", "Recent frames kept for replays; bounded.", func() int { return a.hub.Stats().RingBytes })
	gauge("fanout_backlog_bytes", "Frames that wait to be fanned out; bounded.", func() int { return a.hub.Stats().Backlog })
	counter("fanout_events_total", "Events fanned out on this node.", func() uint64 { return a.hub.Stats().Events })
	counter("resets_total", "Sessions told to load a room anew.", func() uint64 { return a.hub.Stats().Resets })
	counter("fills_total", "Holes in the stream of hints that were read from the store.", func() uint64 { return a.hub.Stats().Fills })
	counter("replayed_events_total", "Events replayed to sessions.", func() uint64 { return a.hub.Stats().Replayed })

	gauge("relay_rooms_behind", "Rooms whose last events were not yet in the search index when the relay looked last; those of this node's share.", func() int { return a.relay.Stats().Behind })
	gauge("relay_lag_milliseconds", "How old the oldest of these events was.", func() int { return int(a.relay.Stats().Lag.Milliseconds()) })
	counter("relay_events_total", "Events that the relay has applied.", func() uint64 { return a.relay.Stats().Applied })
	counter("relay_overtaken_total", "Transactions of the relay that another node's made needless.", func() uint64 { return a.relay.Stats().Overtaken })
	counter("relay_failures_total", "Transactions of the relay that failed; all are repeated.", func() uint64 { return a.relay.Stats().Failures })

	counter("broker_published_total", "Hints handed to the broker.", func() uint64 { return a.live.Stats().Published })
	counter("broker_received_total", "Hints that the broker brought.", func() uint64 { return a.live.Stats().Received })
	counter("broker_dropped_total", "Hints that the broker did not take; what they were about is found by seq.", func() uint64 { return a.live.Stats().Dropped })
	gauge("broker_connected", "1 while the broker is connected.", func() int {
		if a.live.Stats().Connected {
			return 1
		}
		return 0
	})
}

// closesCollector counts sessions by the close code with which they ended.
type closesCollector struct {
	app *App
}

var closesDesc = prometheus.NewDesc("parley_closes_total", "Sessions that ended, by close code.", []string{"code"}, nil)

// Describe implements prometheus.Collector.
func (c *closesCollector) Describe(ch chan<- *prometheus.Desc) { ch <- closesDesc }

// Collect implements prometheus.Collector.
func (c *closesCollector) Collect(ch chan<- prometheus.Metric) {
	for code, n := range c.app.gateway.Stats().Closes {
		ch <- prometheus.MustNewConstMetric(closesDesc, prometheus.CounterValue, float64(n), strconv.Itoa(int(code)))
	}
}
