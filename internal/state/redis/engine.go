// Package redis keeps the state that nodes share in one Redis or Valkey server: rate buckets, leases and locks, each operation one short script, so that it is
// done whole or not at all. Times are the server's, of which there is one.
//
// Keys begin with parley: and nothing is kept for longer than it is true: a bucket until it is full, a lease and a lock until they end. What is lost with the
// server is made anew by those who use it.
//
// A server that does not answer is asked by one goroutine only ([Engine.watch]) until it does: all operations fail at once meanwhile.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/parley-im/parley/internal/state"
)

const (
	patience   = time.Second // for one operation
	watchEvery = 250 * time.Millisecond

	bufferBytes = 32 << 10 // for reading and for writing
	ringScale   = 10       // 2^10 commands under way
)

// Options say where Redis is.
type Options struct {
	URL  string           // redis://HOST:6379/DB or rediss://… for TLS, with user and password where needed
	Name string           // what Redis shows the connection as
	Log  *slog.Logger     // slog.Default() when nil
	Now  func() time.Time // the clock that buckets go by; nil: the server's
}

// Engine is a connection to the server that mends itself.
type Engine struct {
	client rueidis.Client
	now    func() time.Time
	log    *slog.Logger
	stop   context.CancelFunc
	loop   sync.WaitGroup // watch
	up     atomic.Bool

	take, renew, enter, leave, online, nodes *rueidis.Lua
	acquire, renewLock, release              *rueidis.Lua

	operations, failures atomic.Uint64
}

var (
	_ state.Buckets = (*Engine)(nil)
	_ state.Leases  = (*Engine)(nil)
	_ state.Locks   = (*Locks)(nil)
)

// Open returns when the first try to connect has ended, well or not. An error means that the options cannot be right. The Engine must be closed.
func Open(o Options) (*Engine, error) {
	options, err := rueidis.ParseURL(o.URL)
	if err != nil || len(options.InitAddress) != 1 {
		return nil, errors.New("the URL of Redis is not redis://HOST:PORT/DB or rediss://HOST:PORT/DB") // without the URL: it may hold a password
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	options.ClientName = o.Name
	options.ForceSingleClient = true
	options.DisableCache, options.DisableRetry = true, true
	options.PipelineMultiplex = -1 // one socket
	options.AlwaysPipelining = true
	options.RingScaleEachConn, options.ReadBufferEachConn, options.WriteBufferEachConn = ringScale, bufferBytes, bufferBytes
	options.Dialer.Timeout, options.ConnWriteTimeout = patience, 5*patience
	client, err := rueidis.NewClient(options)
	if client == nil {
		return nil, fmt.Errorf("set up Redis: %w", err)
	}
	e := &Engine{
		client: client, now: o.Now, log: o.Log,
		take: rueidis.NewLuaScript(takeScript), renew: rueidis.NewLuaScript(renewScript), enter: rueidis.NewLuaScript(enterScript),
		leave: rueidis.NewLuaScript(leaveScript), online: rueidis.NewLuaScript(onlineScript), nodes: rueidis.NewLuaScript(nodesScript),
		acquire: rueidis.NewLuaScript(acquireScript), renewLock: rueidis.NewLuaScript(renewLockScript), release: rueidis.NewLuaScript(releaseScript),
	}
	if e.up.Store(err == nil); err != nil {
		e.log.Warn("the state cannot be reached; trying again until it can", "error", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.loop.Go(func() { e.watch(ctx) })
	return e, nil
}

// watch finds out when the server answers again, until ctx ends.
func (e *Engine) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !e.up.Load() && e.ping(ctx) == nil {
			e.log.Info("the state answers again")
			e.up.Store(true)
		}
	}
}

func (e *Engine) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return e.client.Do(ctx, e.client.B().Ping().Build()).Error()
}

var errAway = errors.New("the state is away")

// run runs a script.
func (e *Engine) run(ctx context.Context, script *rueidis.Lua, keys, args []string) (rueidis.RedisMessage, error) {
	e.operations.Add(1)
	if !e.up.Load() {
		e.failures.Add(1)
		return rueidis.RedisMessage{}, errAway
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result := script.Exec(limited, e.client, keys, args)
	if err := result.Error(); err != nil {
		e.failures.Add(1)
		if result.NonRedisError() != nil && ctx.Err() == nil && e.up.Swap(false) {
			e.log.Warn("the state does not answer; trying again until it does", "error", err)
		}
		return rueidis.RedisMessage{}, err
	}
	return result.ToMessage()
}

// integer runs a script that answers with a number.
func (e *Engine) integer(ctx context.Context, script *rueidis.Lua, keys, args []string) (int64, error) {
	m, err := e.run(ctx, script, keys, args)
	if err != nil {
		return 0, err
	}
	return m.AsInt64()
}

// Stats are counters since the start.
type Stats struct {
	Operations uint64
	Failures   uint64 // operations that the server did not carry out, as far as is known
	Connected  bool   // it answers
}

// Stats are the counters now.
func (e *Engine) Stats() Stats {
	return Stats{e.operations.Load(), e.failures.Load(), e.up.Load()}
}

// Close ends the connection. It is called once, when nobody uses the Engine any more.
func (e *Engine) Close() {
	e.stop()
	e.loop.Wait()
	e.client.Close()
}
