package app

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parley-im/parley/internal/reference"
)

// adminPage is something that the operators' listener serves.
type adminPage struct {
	pattern string // of http.ServeMux
	link    string // what its name leads to on the index
	what    string
	handler http.Handler
}

// adminPages are all that there is for operators.
func (a *App) adminPages() []adminPage {
	docs := reference.Handler()
	return []adminPage{
		{"GET /docs", "/docs", "The protocol, method by method, with examples.", docs},
		{"GET /docs/", "/docs/openapi.json", "The HTTP calls as an OpenAPI document.", docs},
		{"GET /metrics", "/metrics", "Metrics, for Prometheus.", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{})},
		{"GET /healthz", "/healthz", "Whether the process lives.", http.HandlerFunc(serveHealth)},
		{"GET /readyz", "/readyz", "Whether the store answers and the node is not draining.", http.HandlerFunc(a.serveReady)},
		{"GET /trace", "/trace?room=ROOM&seq=SEQ", "Where a message is: parley trace prints it.", http.HandlerFunc(a.serveTrace)},
		{"GET /debug/pprof/", "/debug/pprof/", "Profiles of the Go runtime: heap, allocs, goroutine, threadcreate.", http.HandlerFunc(pprof.Index)},
		{"GET /debug/pprof/profile", "/debug/pprof/profile?seconds=10", "A profile of the processor.", http.HandlerFunc(pprof.Profile)},
		{"GET /debug/pprof/trace", "/debug/pprof/trace?seconds=2", "An execution trace.", http.HandlerFunc(pprof.Trace)},
		{"GET /debug/pprof/mutex", "/debug/pprof/mutex?seconds=10", "Who waits for locks, in these seconds.", &contention{rate: setMutexRate}},
		{"GET /debug/pprof/block", "/debug/pprof/block?seconds=10", "Who waits for anything, in these seconds.", &contention{rate: setBlockRate}},
	}
}

// adminHandler serves operators: it never shares a port with clients.
func (a *App) adminHandler() http.Handler {
	mux := http.NewServeMux()
	var index strings.Builder
	fmt.Fprintf(&index, "<!doctype html><meta charset=utf-8><title>Parley %[1]s</title><h1>Parley %[1]s</h1><p>Node %[2]s<dl>\n",
		html.EscapeString(a.metrics.version), html.EscapeString(a.api.Node))
	for _, p := range a.adminPages() {
		mux.Handle(p.pattern, p.handler)
		fmt.Fprintf(&index, "<dt><a href=\"%[1]s\">%[1]s</a><dd>%[2]s\n", html.EscapeString(p.link), html.EscapeString(p.what))
	}
	index.WriteString("</dl>\n")
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		_, _ = io.WriteString(w, index.String())
	})
	return mux
}

func serveHealth(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

func (a *App) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if a.api.Draining() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
	} else if err := a.store.Ping(ctx); err != nil {
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
	} else {
		_, _ = io.WriteString(w, "ready\n")
	}
}

// contention serves a profile that costs something while it is taken: the runtime is asked for it only for the seconds that the request names.
type contention struct {
	rate func(on bool)

	mu     sync.Mutex
	taking int // requests under way
}

// The runtime notes one of so many waits for a lock, and waits of any kind by so many nanoseconds.
const (
	mutexEvery = 10
	blockEvery = 10_000
)

func setMutexRate(on bool) {
	if on {
		runtime.SetMutexProfileFraction(mutexEvery)
	} else {
		runtime.SetMutexProfileFraction(0)
	}
}

func setBlockRate(on bool) {
	if on {
		runtime.SetBlockProfileRate(blockEvery)
	} else {
		runtime.SetBlockProfileRate(0)
	}
}

func (c *contention) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("seconds") == "" {
		http.Error(w, "Say for how long: ?seconds=10", http.StatusBadRequest)
		return
	}
	c.take(1)
	defer c.take(-1)
	pprof.Index(w, r)
}

func (c *contention) take(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taking += n
	c.rate(c.taking > 0)
}
