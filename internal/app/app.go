package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/api"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/kafka"
	"github.com/parley-im/parley/internal/broker/memory"
	"github.com/parley-im/parley/internal/broker/nats"
	"github.com/parley-im/parley/internal/broker/rabbitmq"
	"github.com/parley-im/parley/internal/broker/redis"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/egress"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// App is one server: a node of a cluster, or all of it.
type App struct {
	keeper
	fed
	cfg     *config.Config
	log     *slog.Logger
	live    broker.Live
	hub     *delivery.Hub
	seen    *presence.Service
	eraser  *privacy.Eraser
	gateway *gateway.Gateway
	api     *api.Server
	gate    *auth.Gate
	issuer  *auth.KeySet   // nil: tokens are signed with the secret alone
	egress  *egress.Client // nil: no other server is asked for anything
	state   *nodeState
	metrics *metrics
	traces  *traces // nil when off
	cluster *cluster.Cluster
	began   time.Time

	public      *listener
	admin       *listener    // nil when off
	inner       *listener    // for other nodes; nil when off
	certificate *certificate // nil: plain text
	proxies     gateway.Proxies
	broken      chan error
	moved       moved // told when the store is another copy
}

// New opens the store and the broker, and listens. Nothing is served before Run. The caller closes an App that it does not run. The version is what the metrics
// say that this is.
func New(ctx context.Context, cfg *config.Config, log *slog.Logger, version string) (*App, error) {
	a := &App{cfg: cfg, log: log, began: time.Now(), metrics: newMetrics(version), broken: make(chan error, 1), moved: make(moved, 1), keeper: keeper{opened: make(chan struct{})}}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	close(a.opened)
	return a, nil
}

func (a *App) open(ctx context.Context) error {
	cfg := a.cfg
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("the data folder: %w", err)
	}
	secret, err := loadSecret(cfg, a.log)
	if err != nil {
		return err
	}
	node := cfg.Node
	if node == "" {
		node = "n_" + strings.ToLower(rand.Text()[:16])
	}
	if a.state, err = openState(cfg.State, node, a.log); err != nil {
		return err
	}
	messages, prepare := a.state.messages(cfg.Limits, a.log)
	back := func() { a.hub.Recovered() }
	if err := a.openStore(ctx, cfg.Shards, back, store.Options{
		URL: cfg.Store, Data: cfg.Data, Log: a.log, Rates: messages, Prepare: prepare, Observe: a.metrics.committed,
		Committed: func(c *chat.Commit) { // none comes before the hub and the relays stand: nobody can send yet
			a.hub.Committed(c)
			a.traceRelay(c)
			a.seen.Committed(c)
			a.wake()
		},
		Moved: a.moved.tell,
		Fatal: func(err error) {
			select {
			case a.broken <- err:
			default:
			}
		},
	}); err != nil {
		return err
	}
	if err := a.openCluster(ctx, node, secret); err != nil {
		return err
	}
	if a.traces, err = openTraces(ctx, cfg.Trace, node, a.metrics.version, a.log); err != nil {
		return err
	}
	a.keepUp(node, a.wakeFeed, a.log)
	if err := errors.Join(a.openFeed(ctx, node), a.openPresence(ctx, node), a.openDelivery(ctx, node)); err != nil {
		return err
	}
	signer, verifier, err := a.openTrust(secret)
	if err != nil {
		return err
	}
	a.gate = auth.NewGate(auth.GateOptions{
		Tokens: verifier, Sessions: a.store, Keys: a.store, Tickets: a.store, TicketKey: a.store.Key("tickets"), Now: time.Now,
	})
	if err := a.gate.Refresh(ctx); err != nil {
		return err
	}
	core := chat.NewService(
		chat.Ports{Log: a.store, Snapshots: a.store, Inbox: a.store, Search: a.store, Desk: a.store, Users: a.store, Names: a.store},
		chat.Options{Epoch: a.store.Epoch, Stands: a.store.Stands, Key: a.store.Key("pages"), Now: time.Now, Logger: a.log},
	)
	a.eraser = a.newEraser(core)
	a.api = api.New(api.Options{
		Node: node, Epoch: a.store.Epoch, Stands: a.store.Stands, Hub: a.hub, Presence: a.seen, Gate: a.gate, Signer: signer, Sessions: a.store, Users: a.store, Others: a.cluster,
		Checkpoints: a.store, StreamKey: a.store.Key("streams"),
		Chat: core, Eraser: a.eraser, Exporter: NewExporter(a.store),
		Limits: protocol.Limits{
			TextBytes: protocol.MaxTextBytes, FrameBytes: int64(cfg.Limits.FrameBytes), MessagesPerSecond: float64(cfg.Limits.MessagesPerSecond),
			Burst: int64(cfg.Limits.Burst), Replay: int64(cfg.Limits.Replay),
		},
		Heartbeat: cfg.Heartbeat, Origins: cfg.Origins, Dev: cfg.Dev, Now: time.Now, Log: a.log,
		Answered: a.metrics.calls.answered, Tracer: a.traces.tracer(),
	})
	if err := a.openGateway(node); err != nil {
		return err
	}
	a.register()
	a.eraseFirst(ctx)
	return a.listen()
}

// loadSecret reads the secret that signs tokens; the one in the data folder is made when it is not there.
func loadSecret(cfg *config.Config, log *slog.Logger) ([]byte, error) {
	if cfg.SecretFile != "" {
		return auth.LoadSecret(cfg.SecretFile)
	}
	secret, created, err := auth.EnsureSecret(cfg.Data)
	if created {
		log.Info("a new secret signs the tokens of this deployment", "file", filepath.Join(cfg.Data, "secret"))
	}
	return secret, err
}

// openPresence makes presence, and reads who is invisible before anything is told of anybody.
func (a *App) openPresence(ctx context.Context, node string) error {
	a.seen = presence.New(presence.Options{
		Store: a.store, Leases: a.state.leases, Shared: a.state.engine != nil, Node: node, Now: time.Now, Log: a.log, Announce: func() { a.hub.Announce() },
	})
	return a.seen.Recover(ctx)
}

// openDelivery joins the hub and the broker, which know each other.
func (a *App) openDelivery(ctx context.Context, node string) error {
	replay := a.cfg.Limits.Replay
	if replay == 0 {
		replay = math.MaxInt // no limit
	}
	a.hub = delivery.New(delivery.Options{
		Source: a.store, Node: node, Epoch: a.store.Epoch, Stands: a.store.Stands, Life: a.store.Life, Replay: replay, Wire: gateway.Wire, Now: time.Now, Log: a.log,
		Sessions: a.checkSessions, Hidden: a.seen.Hidden, Observe: a.metrics.offered, Tracer: a.traces.tracer(),
	})
	var err error
	switch scheme, _, _ := strings.Cut(a.cfg.Broker, ":"); scheme {
	case "":
		a.live = memory.NewBus().Join(node, a.hub)
	case "redis", "rediss":
		a.live, err = redis.Open(ctx, redis.Options{URL: a.cfg.Broker, Name: node, Log: a.log}, a.hub)
	case "kafka", "kafkas":
		a.live, err = kafka.Open(ctx, kafka.Options{URL: a.cfg.Broker, Name: node, Log: a.log}, a.hub)
	case "amqp", "amqps":
		a.live, err = rabbitmq.Open(ctx, rabbitmq.Options{URL: a.cfg.Broker, Name: node, Log: a.log}, a.hub)
	default:
		a.live, err = nats.Open(ctx, nats.Options{URL: a.cfg.Broker, Name: node, Log: a.log}, a.hub)
	}
	if err != nil {
		return fmt.Errorf("the broker: %w", err)
	}
	a.hub.SetLive(a.live)
	return nil
}

// checkSessions is called by delivery when sessions, revocations or who is invisible may have changed.
func (a *App) checkSessions() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.api.CheckSessions(ctx); err != nil {
		a.log.Warn("sessions could not be checked against the store", "error", err)
	}
	if err := a.seen.Refresh(ctx); err != nil {
		a.log.Warn("who is invisible could not be read", "error", err)
	}
}

// Run serves until ctx ends; then it drains, closes everything and returns. A server that cannot go on returns the reason.
func (a *App) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	a.hub.Start(background)
	loops.Go(func() { a.api.Run(background) })
	loops.Go(func() { a.state.own.Run(background) })
	if a.state.quotas != nil {
		loops.Go(func() { a.state.quotas.Run(background) })
	}
	for _, r := range a.relays {
		loops.Go(func() { r.Run(background) })
	}
	for _, f := range a.feeders {
		loops.Go(func() { f.Run(background) })
	}
	for _, s := range a.sweeps {
		loops.Go(func() { s.Run(background) })
	}
	loops.Go(func() { a.seen.Run(background) })
	if a.issuer != nil {
		loops.Go(func() { a.issuer.Run(background) })
	}
	loops.Go(func() { a.eraser.Run(background) })
	loops.Go(func() { a.ebb(background) })
	loops.Go(func() { a.cluster.Run(background) })
	if a.certificate != nil {
		loops.Go(func() { a.certificate.run(background) })
	}
	failed := make(chan error, 3)
	for l := range a.listeners() {
		loops.Go(func() { failed <- l.server.Serve(l) })
	}
	addrs := []any{"addr", a.Addr()}
	if a.admin != nil {
		addrs = append(addrs, "admin", a.AdminAddr())
	}
	if a.inner != nil {
		addrs = append(addrs, "cluster", a.cluster.Self.Address)
	}
	a.log.Info("listening", addrs...)
	var err error
	over := a.cfg.Drain
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-a.moved:
		err, over = ErrMoved, min(over, movedDrain)
	case err = <-a.broken:
		// What is on the disk is not known: nothing more may be answered, and the next start reads what is there.
		a.log.Error("the store is broken", "error", err)
		os.Exit(1)
	}
	a.drain(over)
	stop()
	a.hub.Stop()
	for l := range a.listeners() {
		l.server.Close()
	}
	loops.Wait()
	return errors.Join(err, a.Close())
}

// drain sends every session elsewhere, spread over a time (§2.3), while calls that were accepted are still answered.
func (a *App) drain(over time.Duration) {
	a.log.Info("draining", "sessions", a.gateway.Count(), "over", over)
	a.api.Drain()
	a.cluster.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), over+10*time.Second)
	defer cancel()
	a.gateway.Drain(ctx, over)
	if err := a.public.server.Shutdown(ctx); err != nil {
		a.log.Warn("some calls were cut off", "error", err)
	}
	if a.inner != nil {
		if err := a.inner.server.Shutdown(ctx); err != nil {
			a.log.Warn("some calls of other nodes were cut off", "error", err)
		}
	}
}

// Close releases what New opened. Run does it by itself.
func (a *App) Close() error {
	var errs []error
	for l := range a.listeners() {
		_ = l.Close() // Run may have closed it
	}
	if a.gateway != nil {
		a.gateway.Stop()
	}
	if a.live != nil {
		errs = append(errs, a.live.Close())
	}
	if a.exchange != nil {
		errs = append(errs, a.exchange.Close())
	}
	if a.egress != nil {
		a.egress.Close()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.state != nil {
		a.state.close()
	}
	a.traces.close()
	return errors.Join(errs...)
}
