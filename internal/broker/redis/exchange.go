package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/parley-im/parley/internal/broker"
)

const (
	putAtOnce  = 100 // entries in one MULTI
	readAtOnce = 16  // entries that a consumer has in hand
	blockFor   = 500 * time.Millisecond

	// claimAfter is how long an entry may be in a consumer's hand before another takes the consumer for dead.
	claimAfter = 30 * time.Second
)

// dataField is beside the headers in an entry of a stream.
const dataField = "data"

// exchange is a feed over streams: parley:feed:QUEUE for each queue, with a consumer group of the queue's name. What is put together into several queues is in a
// MULTI, and so in all or in none. The streams are bounded in length and in age, and lose their oldest entries, whether they were consumed or not.
type exchange struct {
	broker.ExchangeOptions
	options   rueidis.ClientOption
	claim     time.Duration
	client    atomic.Pointer[rueidis.Client] // nil until the server was there for the first time
	connected atomic.Bool

	mu    sync.Mutex
	taken map[string]bool // the names of this node's consumers
}

// OpenExchange opens a feed. It returns when the first try to connect has ended, well or not: without Redis a node starts, and connects as soon as it can. An
// error means that the options cannot be right, or that ctx ended.
func OpenExchange(ctx context.Context, o broker.ExchangeOptions) (broker.Exchange, error) {
	return openExchange(ctx, o, claimAfter)
}

func openExchange(ctx context.Context, o broker.ExchangeOptions, claim time.Duration) (broker.Exchange, error) {
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
	options.RingScaleEachConn, options.ReadBufferEachConn, options.WriteBufferEachConn = ringScale, bufferBytes, bufferBytes
	options.Dialer.Timeout, options.Dialer.KeepAlive, options.ConnWriteTimeout = dialTimeout, pingInterval, replyTimeout
	x := &exchange{ExchangeOptions: o, options: options, claim: claim, taken: map[string]bool{}}
	return broker.OpenExchange(ctx, o, x)
}

func (x *exchange) Run(ctx context.Context, tried func()) {
	broker.Watch(ctx, x.Log, "Redis", tried, x.connected.Load, x.look)
}

// look asks the server for a sign of life, and has it make what the feed needs when it may be another one than before.
func (x *exchange) look(ctx context.Context, was bool) (err error) {
	defer func() { x.connected.Store(err == nil) }()
	c := x.client.Load()
	if c == nil {
		made, err := rueidis.NewClient(x.options)
		if err != nil {
			if made != nil {
				made.Close()
			}
			return err
		}
		c = &made
		x.client.Store(c)
	}
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	client := *c
	if was {
		return client.Do(ctx, client.B().Ping().Build()).Error()
	}
	for _, q := range x.Queues {
		if err := x.makeGroup(ctx, client, q.Name); err != nil {
			return err
		}
	}
	if info, err := client.Do(ctx, client.B().Info().Section("persistence").Build()).ToString(); err == nil && !strings.Contains(info, "aof_enabled:1") {
		x.Log.Warn("Redis keeps no append-only file: what it has acknowledged is lost when it restarts. Set appendonly yes, and appendfsync always")
	}
	return nil
}

// makeGroup makes a queue's stream and its group, which begins with the first entry.
func (x *exchange) makeGroup(ctx context.Context, client rueidis.Client, queue string) error {
	err := client.Do(ctx, client.B().XgroupCreate().Key(stream(queue)).Group(queue).Id("0").Mkstream().Build()).Error()
	if e, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(e.Error(), "BUSYGROUP") {
		return nil
	}
	return err
}

func stream(queue string) string { return "parley:feed:" + queue }

func (x *exchange) Connected() bool { return x.connected.Load() }

// use is the client, while the server is there.
func (x *exchange) use() (rueidis.Client, error) {
	if !x.connected.Load() {
		return nil, broker.ErrExchangeAway
	}
	return *x.client.Load(), nil
}

func (x *exchange) Put(ctx context.Context, b broker.Batch) error {
	client, err := x.use()
	if err != nil {
		return err
	}
	for part := range slices.Chunk(b.Entries, putAtOnce) {
		if err := client.Dedicated(func(c rueidis.DedicatedClient) error { return x.putPart(ctx, c, b.Queue, part) }); err != nil {
			return fmt.Errorf("put into Redis: %w", err)
		}
	}
	return nil
}

// putPart puts entries into all queues that they belong to, or into none.
func (x *exchange) putPart(ctx context.Context, c rueidis.DedicatedClient, queue string, entries []broker.Entry) error {
	commands := rueidis.Commands{c.B().Multi().Build()}
	oldest := strconv.FormatInt(time.Now().Add(-x.Keep).UnixMilli(), 10)
	for i := range x.Queues {
		q := &x.Queues[i]
		if queue != "" && queue != q.Name {
			continue
		}
		key := stream(q.Name)
		for j := range entries {
			if q.Matches(&entries[j]) {
				commands = append(commands, x.add(c, key, &entries[j]))
			}
		}
		commands = append(commands, c.B().Xtrim().Key(key).Minid().Almost().Threshold(oldest).Build())
	}
	results := c.DoMulti(ctx, append(commands, c.B().Exec().Build())...)
	answers, err := results[len(results)-1].ToArray()
	for _, r := range results[:len(results)-1] { // why a command was not taken says more than that the whole was not
		if fault, ok := rueidis.IsRedisErr(r.Error()); ok {
			return fault
		}
	}
	for _, a := range answers {
		err = errors.Join(err, a.Error())
	}
	return err
}

func (x *exchange) add(c rueidis.DedicatedClient, key string, e *broker.Entry) rueidis.Completed {
	fields := c.B().Xadd().Key(key).Maxlen().Almost().Threshold(strconv.Itoa(x.Length)).Id("*").FieldValue()
	for _, name := range broker.HeaderNames() {
		value, _ := e.Header(name)
		fields = fields.FieldValue(name, value)
	}
	return fields.FieldValue(dataField, rueidis.BinaryString(e.Data)).Build()
}

func (x *exchange) Features() broker.ExchangeFeatures {
	return broker.ExchangeFeatures{Engine: "redis", Replay: true, Order: broker.OrderOneConsumer, MaxEntry: maxMessage}
}

func (x *exchange) Close() {
	if c := x.client.Load(); c != nil {
		(*c).Close()
	}
}
