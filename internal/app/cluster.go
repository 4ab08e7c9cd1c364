package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/config"
)

// openCluster tells the other nodes of this one and looks whether it is set to what they are, before it does anything that they would notice.
func (a *App) openCluster(ctx context.Context, node string, secret []byte) error {
	identity, err := cluster.NewIdentity(a.store.Key("cluster"))
	if err != nil {
		return err
	}
	self := cluster.Node{ID: node, Version: a.metrics.version, Level: cluster.Level, Settings: a.cfg.Common()}
	digest := hmac.New(sha256.New, a.store.Key("secret of tokens"))
	digest.Write(secret)
	self.Settings[cluster.SecretSetting] = hex.EncodeToString(digest.Sum(nil)[:8])
	if a.cfg.Cluster.Listen != "" {
		l, err := listenAt(a.cfg.Cluster.Listen)
		if err != nil {
			return fmt.Errorf("listen for other nodes: %w", err)
		}
		a.inner = &listener{Listener: l}
		if self.Address = a.cfg.Cluster.Advertise; self.Address == "" {
			self.Address = l.Addr().String()
		}
	}
	a.cluster = cluster.New(cluster.Options{Self: self, Identity: identity, Registry: a.store, Now: time.Now, Log: a.log})
	return a.cluster.Join(ctx, a.cfg.Cluster.Differences == config.DifferencesWarn)
}

// listenInside has what other nodes pass on served, once there is something that serves.
func (a *App) listenInside() {
	if a.inner == nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+cluster.StatusPath, a.serveStatus)
	mux.Handle("/v1/", a.cluster.Handler(a.gateway.Public(a.api.Inner(a.gateway))))
	a.inner.Listener = a.cluster.Listen(a.inner.Listener)
	a.inner.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(complaints{a.log}, "", 0),
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000}, // each poll is one
	}
}

// serveStatus tells other nodes, and who asks with the store's key, how this one is.
func (a *App) serveStatus(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	asked := time.Now()
	storeMS := float64(-1)
	if a.store.Ping(ctx) == nil {
		storeMS = milliseconds(time.Since(asked))
	}
	self, hub := a.cluster.Self, a.hub.Stats()
	status := &cluster.Status{
		Node: self.ID, Version: self.Version, Level: self.Level, Settings: self.Settings, Now: time.Now(), StartedAt: a.began,
		Draining: a.api.Draining(), Sessions: a.gateway.Count(), Epoch: a.store.Epoch(), StoreMS: storeMS, SkewMS: milliseconds(a.cluster.Stats().Skew),
		Broker: cluster.Engine{Configured: a.cfg.Broker != "", Connected: a.live.Stats().Connected, RoundTrip: hub.Healthy},
		Heard:  hub.Probes,
	}
	if a.state.engine != nil {
		nodes, err := a.state.engine.Nodes(ctx)
		status.State = cluster.Engine{Configured: true, Connected: a.state.engine.Stats().Connected, RoundTrip: err == nil, Nodes: nodes}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, status, json.Deterministic(true)) // who asked has gone
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// registerCluster makes what is known of other nodes readable.
func (a *App) registerCluster(m *metrics) {
	stats := a.cluster.Stats
	m.gauge("cluster_nodes", "Live nodes, with this one, as was known last.", func() int { return stats().Nodes })
	m.gauge("cluster_calls", "Calls that are being passed on to the node of their session.", func() int { return stats().Calls })
	m.gauge("cluster_calls_limit", "Bound of parley_cluster_calls: what comes then is answered unavailable.", func() int { return stats().CallsMost })
	m.gauge("cluster_polls", "Polls that wait, passed on to the node of their session.", func() int { return stats().Polls })
	m.gauge("cluster_polls_limit", "Bound of parley_cluster_polls: what comes then is answered unavailable.", func() int { return stats().PollsMost })
	m.counter("cluster_forwarded_total", "Calls and polls that the node of their session has answered.", func() uint64 { return stats().Forwarded })
	m.counter("cluster_gone_total", "Calls and polls about sessions of nodes that are gone: answered not_found.", func() uint64 { return stats().Gone })
	m.counter("cluster_failed_total", "Calls and polls that the node of their session did not answer: answered unavailable.", func() uint64 { return stats().Failed })
	m.counter("cluster_refused_total", "Calls and polls that were not passed on because of the bounds: answered unavailable.", func() uint64 { return stats().Refused })
	m.seconds("clock_skew_seconds", "How far the store's clock is ahead of this machine's, as was seen last; 0 on SQLite.", func() time.Duration { return stats().Skew })
}
