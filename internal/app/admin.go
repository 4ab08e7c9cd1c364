package app

import (
	"context"
	"io"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parley-im/parley/internal/reference"
)

// adminHandler serves operators: it never shares a port with clients.
func (a *App) adminHandler() http.Handler {
	mux := http.NewServeMux()
	docs := reference.Handler()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /docs", docs)
	mux.Handle("GET /docs/", docs)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if a.api.Draining() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
		} else if err := a.store.Ping(ctx); err != nil {
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		} else {
			_, _ = io.WriteString(w, "ready\n")
		}
	})
	return mux
}
