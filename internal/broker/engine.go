package broker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Engine is what one engine does for a feed in its own way; [OpenExchange] makes an [Exchange] of it. Implementations are used by many goroutines at once.
type Engine interface {
	// Run keeps the connection, and in the engine what the queues need, until ctx ends. It calls tried when the first try to connect has ended, well or not;
	// calling it again does nothing.
	Run(ctx context.Context, tried func())

	// Connected says whether entries can be put now, as far as is known.
	Connected() bool

	// Put is as [Exchange].Put has it, for a batch whose queue is declared and whose entries are not too large, while the engine is connected.
	Put(ctx context.Context, b Batch) error

	// Consume hands the entries of a declared queue to take, one at a time, until ctx ends or the engine fails, which is the error. It acknowledges those for
	// which take returns true, returns after the first for which it does not, and lets another Consume have what is not acknowledged as soon as it can.
	Consume(ctx context.Context, queue string, take Take) error

	// Features says what the engine can do.
	Features() ExchangeFeatures

	// Close frees what the engine holds. It is called once, after Run and every Consume have returned; a Put that is still running may fail.
	Close()
}

// Take hands an entry over, given its headers and its data, until it is handled. It returns false when ctx has ended before. The data is kept.
type Take func(ctx context.Context, header func(name string) string, data []byte) bool

const (
	retryConsume = 500 * time.Millisecond // between tries to consume a queue, up to twice that
	watchEvery   = time.Second            // between looks of [Watch]
)

// An entry that its handler did not take is handed over again after a time between these, which doubles.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// exchange is an Exchange on an engine.
type exchange struct {
	ExchangeOptions
	engine Engine
	stop   context.CancelFunc
	run    sync.WaitGroup // Engine.Run

	ended  context.Context // when the exchange is closed, and its consumers with it
	end    context.CancelFunc
	ending sync.Mutex     // no call of Consume begins once ended is
	calls  sync.WaitGroup // of Consume
	closed sync.Once

	put, failed, consumed atomic.Uint64
}

// OpenExchange starts an engine and returns when its first try to connect has ended, well or not: without its engine a node starts, and the feed begins as soon
// as it is there. When ctx ends before, the engine is closed and that is the error. O.Log must be set.
func OpenExchange(ctx context.Context, o ExchangeOptions, e Engine) (Exchange, error) {
	x := &exchange{ExchangeOptions: o, engine: e}
	x.ended, x.end = context.WithCancel(context.Background())
	running, stop := context.WithCancel(context.Background())
	x.stop = stop
	tried := make(chan struct{})
	x.run.Go(func() { e.Run(running, sync.OnceFunc(func() { close(tried) })) })
	select {
	case <-tried:
		return x, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), x.Close())
	}
}

func (x *exchange) Put(ctx context.Context, b Batch) error {
	err := x.check(b)
	if err == nil {
		err = x.engine.Put(ctx, b)
	}
	if err != nil {
		x.failed.Add(1)
		return err
	}
	x.put.Add(uint64(len(b.Entries)))
	return nil
}

func (x *exchange) check(b Batch) error {
	if b.Queue != "" && FindQueue(x.Queues, b.Queue) == nil {
		return ErrNoQueue
	}
	if x.ended.Err() != nil {
		return ErrExchangeClosed
	}
	if !x.engine.Connected() { // and so before the sizes: what the engine takes it may only say when it is there
		return ErrExchangeAway
	}
	most := x.engine.Features().MaxEntry
	for i := range b.Entries {
		if n := len(b.Entries[i].Data); n > most {
			return Refuse(&b.Entries[i], "its frame has %d bytes, and the engine takes %d", n, most)
		}
	}
	return nil
}

func (x *exchange) Consume(ctx context.Context, queue string, handle func(context.Context, Entry) error) error {
	if FindQueue(x.Queues, queue) == nil {
		return ErrNoQueue
	}
	if !x.begin() {
		return ErrExchangeClosed
	}
	defer x.calls.Done()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(x.ended, func() { end(ErrExchangeClosed) })()
	take := func(ctx context.Context, header func(string) string, data []byte) bool {
		e, err := readEntry(header, data)
		if err != nil {
			x.Log.Warn("an entry of a queue is left out", "queue", queue, "error", err)
			return true
		}
		return x.take(ctx, e, handle)
	}
	failing := false
	for ctx.Err() == nil {
		err := x.engine.Consume(ctx, queue, take)
		if err != nil && ctx.Err() == nil && !failing && !errors.Is(err, ErrExchangeAway) { // that it is away is said by Run
			x.Log.Warn("a queue cannot be consumed; trying again until it can", "queue", queue, "error", err)
		}
		failing = err != nil
		Pause(ctx, retryConsume+rand.N(retryConsume)) // not all nodes at once
	}
	return context.Cause(ctx)
}

// begin notes a call of Consume, unless the exchange is closed.
func (x *exchange) begin() bool {
	x.ending.Lock()
	defer x.ending.Unlock()
	if x.ended.Err() != nil {
		return false
	}
	x.calls.Add(1)
	return true
}

func (x *exchange) take(ctx context.Context, e Entry, handle func(context.Context, Entry) error) bool {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if ctx.Err() != nil {
			return false
		}
		if handle(ctx, e) == nil {
			x.consumed.Add(1)
			return true
		}
		if !Pause(ctx, pause) {
			return false
		}
	}
}

func (x *exchange) Features() ExchangeFeatures { return x.engine.Features() }

func (x *exchange) Stats() ExchangeStats {
	return ExchangeStats{
		Put: x.put.Load(), Failed: x.failed.Load(), Consumed: x.consumed.Load(), Connected: x.ended.Err() == nil && x.engine.Connected(),
	}
}

func (x *exchange) Close() error {
	x.ending.Lock()
	x.end()
	x.ending.Unlock()
	x.closed.Do(func() {
		x.calls.Wait()
		x.stop()
		x.run.Wait()
		x.engine.Close()
	})
	return nil
}

// Watch is an [Engine].Run for an engine whose library keeps the connection by itself: it looks once a second whether the engine is there, until ctx ends, and
// logs what has changed. Look is told whether the engine was connected before: if not, it makes what the queues need. What it finds is for connected to say.
func Watch(ctx context.Context, log *slog.Logger, engine string, tried func(), connected func() bool, look func(ctx context.Context, was bool) error) {
	for failing := false; ctx.Err() == nil; Pause(ctx, watchEvery) {
		was := connected()
		err := look(ctx, was)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			log.Warn("the feed cannot use "+engine+"; trying again until it can", "error", err)
			failing = true
		case err == nil && !was:
			log.Info("the feed is connected to " + engine)
			failing = false
		}
		tried()
	}
}

// Pause waits, and reports whether ctx is still running then.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
