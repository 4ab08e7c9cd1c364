package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-im/parley/internal/broker"
)

// The names of a feed. Everything is published to feedExchange, a topic exchange to which applications may bind queues of their own. A queue that is declared
// has an exchange of its own name and kind between, which alone decides what gets into it: so something can be put into one queue again.
const (
	feedExchange = "parley.feed"
	feedPrefix   = "parley.feed."
)

const (
	feedPrefetch = 16               // entries that a consumer has in hand
	redeclare    = 30 * time.Second // between looks whether everything is there that was declared
	mostLength   = 1 << 20          // bytes of an entry's data; RabbitMQ takes more
)

// exchange is a feed over what RabbitMQ has for it: its exchanges, quorum queues, confirms. One goroutine ([exchange.Run]) owns one connection after the other for
// publishing; each Consume has one of its own.
type exchange struct {
	broker.ExchangeOptions
	servers   []string
	publisher atomic.Pointer[publisher] // nil while there is none
}

// publisher is a connection in confirm mode. Its channel is used by one call of Put at a time; what RabbitMQ returns is gathered by its goroutine.
type publisher struct {
	conn     *amqp.Connection
	channel  *amqp.Channel
	topology *amqp.Channel
	cut      context.CancelFunc // closes the socket
	ended    <-chan *amqp.Error
	failed   chan error // of size 1: why a Put has given it up
	blocked  atomic.Bool
	returns  chan amqp.Return
	asked    chan chan map[string]bool // for what was returned since the last question, by message id
	gone     chan struct{}             // closed with the connection
	loop     sync.WaitGroup

	putting sync.Mutex
}

// OpenExchange opens a feed. The URL is as Options has it. It returns when the first try to connect has ended, well or not: without RabbitMQ a node starts, and
// connects as soon as it can. An error means that the options cannot be right, or that ctx ended.
func OpenExchange(ctx context.Context, o broker.ExchangeOptions) (broker.Exchange, error) {
	x := &exchange{ExchangeOptions: o, servers: strings.Split(o.URL, ",")}
	for _, server := range x.servers {
		if err := checkServer(server); err != nil {
			return nil, err
		}
	}
	if x.Log == nil {
		x.Log = slog.Default()
	}
	return broker.OpenExchange(ctx, x.ExchangeOptions, x)
}

// Run owns a connection until ctx ends.
func (x *exchange) Run(ctx context.Context, tried func()) {
	for failing := false; ctx.Err() == nil; {
		p, err := x.connect(ctx)
		switch {
		case err == nil:
			x.Log.Info("the feed is connected to RabbitMQ", "server", p.conn.RemoteAddr().String())
			x.publisher.Store(p)
			failing = false
		case !failing && ctx.Err() == nil:
			x.Log.Warn("the feed cannot use RabbitMQ; trying again until it can", "error", err)
			failing = true
		}
		tried()
		if err == nil {
			if err := x.serve(ctx, p); err != nil {
				x.Log.Warn("the feed has lost RabbitMQ; trying again until it is back", "error", err)
			}
			x.publisher.Store(nil)
			p.close()
		}
		broker.Pause(ctx, minRetry+rand.N(maxRetry-minRetry))
	}
}

// connect opens a connection to one of the servers and declares everything.
func (x *exchange) connect(ctx context.Context) (*publisher, error) {
	var faults error
	for _, i := range rand.Perm(len(x.servers)) {
		p, err := openPublisher(ctx, x.servers[i], x.Name+" feeds")
		if err == nil {
			if err = x.declare(p); err == nil {
				return p, nil
			}
			p.close()
		}
		faults = errors.Join(faults, err)
	}
	return nil, faults
}

func openPublisher(ctx context.Context, server, name string) (*publisher, error) {
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, cut)()
	p := &publisher{
		cut: cut, failed: make(chan error, 1), returns: make(chan amqp.Return), asked: make(chan chan map[string]bool), gone: make(chan struct{}),
	}
	var err error
	if p.conn, p.channel, err = dial(life, server, name); err == nil {
		err = p.channel.Confirm(false)
	}
	if err == nil {
		p.topology, err = p.conn.Channel()
	}
	if err != nil {
		cut()
		return nil, err
	}
	p.ended = p.channel.NotifyClose(make(chan *amqp.Error, 1))
	p.channel.NotifyReturn(p.returns)
	blocking := p.conn.NotifyBlocked(make(chan amqp.Blocking, 8))
	p.loop.Go(func() {
		for b := range blocking {
			p.blocked.Store(b.Active)
		}
	})
	p.loop.Go(p.gather)
	return p, nil
}

// gather keeps what was returned until somebody asks. RabbitMQ returns a message before it confirms it, and the library hands both over in that order.
func (p *publisher) gather() {
	returned := map[string]bool{}
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				close(p.gone)
				return
			}
			returned[r.MessageId] = true
		case answer := <-p.asked:
			answer <- returned
			returned = map[string]bool{}
		}
	}
}

// returned is what was returned since the last question. ok is false when the connection has ended.
func (p *publisher) returned() (ids map[string]bool, ok bool) {
	answer := make(chan map[string]bool, 1)
	select {
	case p.asked <- answer:
		return <-answer, true
	case <-p.gone:
		return nil, false
	}
}

func (p *publisher) close() {
	_ = p.conn.CloseDeadline(time.Now().Add(closeTimeout)) // whatever comes of it, the socket is closed next
	p.cut()
	p.loop.Wait()
}

// declare makes what the feed needs, as far as it is not there. What is there and differs is an error.
func (x *exchange) declare(p *publisher) error {
	late := time.AfterFunc(setupTimeout, p.cut)
	defer late.Stop()
	const durable, autoDelete, internal, exclusive, noWait = true, false, false, false, false
	c := p.topology
	if err := c.ExchangeDeclare(feedExchange, amqp.ExchangeTopic, durable, autoDelete, internal, noWait, nil); err != nil {
		return err
	}
	for i := range x.Queues {
		q := &x.Queues[i]
		name := feedPrefix + q.Name
		if err := c.ExchangeDeclare(name, string(q.Exchange), durable, autoDelete, internal, noWait, nil); err != nil {
			return err
		}
		if _, err := c.QueueDeclare(name, durable, autoDelete, exclusive, noWait, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}); err != nil {
			return err
		}
		for _, b := range bindings(q) {
			if err := c.QueueBind(name, b.key, name, noWait, b.arguments); err != nil {
				return err
			}
		}
		if err := c.ExchangeBind(name, "#", feedExchange, noWait, nil); err != nil {
			return err
		}
	}
	return nil
}

// binding is of a queue to its exchange.
type binding struct {
	key       string
	arguments amqp.Table
}

func bindings(q *broker.Queue) []binding {
	switch q.Exchange {
	case broker.FanoutExchange:
		return []binding{{}}
	case broker.HeadersExchange:
		arguments := amqp.Table{"x-match": "all"}
		if q.Any {
			arguments["x-match"] = "any"
		}
		for name, value := range q.Headers {
			arguments[name] = value
		}
		return []binding{{arguments: arguments}}
	default:
		var all []binding
		for _, key := range q.Bind {
			all = append(all, binding{key: key})
		}
		return all
	}
}

// serve looks after a connection until it fails, which is the error, or ctx ends.
func (x *exchange) serve(ctx context.Context, p *publisher) error {
	again := time.NewTicker(redeclare)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if err := x.declare(p); err != nil {
				return err
			}
		case reason := <-p.ended:
			return because(reason)
		case err := <-p.failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func (x *exchange) Connected() bool { return x.publisher.Load() != nil }

func (x *exchange) Put(ctx context.Context, b broker.Batch) error {
	p := x.publisher.Load()
	switch {
	case p == nil:
		return broker.ErrExchangeAway
	case p.blocked.Load():
		return errors.New("RabbitMQ takes no messages for now: its memory or its disk is full")
	}
	p.putting.Lock()
	defer p.putting.Unlock()
	// While RabbitMQ does not read, only the end of the connection ends a message that is being sent.
	defer context.AfterFunc(ctx, p.cut)()
	for _, wave := range broker.Waves(b.Entries) {
		if err := x.putWave(ctx, p, b.Queue, wave); err != nil {
			select {
			case p.failed <- err: // what is known of its channel is not worth finding out
			default:
			}
			return fmt.Errorf("put into RabbitMQ: %w", err)
		}
	}
	return nil
}

// putWave publishes entries, of which no two are of one room, and waits until RabbitMQ has confirmed all of them.
func (x *exchange) putWave(ctx context.Context, p *publisher, queue string, entries []broker.Entry) error {
	exchange := feedExchange
	if queue != "" {
		exchange = feedPrefix + queue
	}
	const mandatory, immediate = true, false
	confirms := make([]*amqp.DeferredConfirmation, len(entries))
	for i := range entries {
		e := &entries[i]
		headers := amqp.Table{}
		for _, name := range broker.HeaderNames() {
			headers[name], _ = e.Header(name)
		}
		var err error
		confirms[i], err = p.channel.PublishWithDeferredConfirm(exchange, e.RoutingKey(), mandatory, immediate, amqp.Publishing{
			DeliveryMode: amqp.Persistent, ContentType: "application/json", MessageId: e.ID(), Type: e.Event, AppId: "parley",
			Expiration: strconv.FormatInt(x.Keep.Milliseconds(), 10), Headers: headers, Body: e.Data,
		})
		if err != nil {
			return err
		}
	}
	for i, c := range confirms {
		taken, err := c.WaitContext(ctx)
		if err != nil {
			return err
		}
		if !taken {
			return fmt.Errorf("RabbitMQ did not take %s: a queue is full, or its servers are too few", entries[i].ID())
		}
	}
	returned, ok := p.returned()
	if !ok {
		return broker.ErrExchangeAway
	}
	for i := range entries {
		if returned[entries[i].ID()] && x.wanted(queue, &entries[i]) {
			return fmt.Errorf("%s got into no queue: one that was declared is gone, and is made again", entries[i].ID())
		}
	}
	return nil
}

// wanted reports whether an entry belongs into a queue, or with "" into any.
func (x *exchange) wanted(queue string, e *broker.Entry) bool {
	for i := range x.Queues {
		q := &x.Queues[i]
		if (queue == "" || queue == q.Name) && q.Matches(e) {
			return true
		}
	}
	return false
}

func (x *exchange) Features() broker.ExchangeFeatures {
	return broker.ExchangeFeatures{
		Engine: "rabbitmq", Native: []broker.ExchangeKind{broker.DirectExchange, broker.TopicExchange, broker.FanoutExchange, broker.HeadersExchange},
		Order: broker.OrderOneConsumer, MaxEntry: mostLength,
	}
}

func (x *exchange) Close() {} // each connection is closed by whom it belongs to
