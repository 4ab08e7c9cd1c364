package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-im/parley/internal/broker"
)

const (
	// streamName is the stream of a feed: every event is in it once, under keySubject and its routing key; what is for one queue alone, because NATS cannot
	// route by headers or because it is put again, is in it under queueSubject, the queue and the routing key.
	streamName   = "parley-feed"
	keySubject   = "parley.feed.key."
	queueSubject = "parley.feed.queue."

	repeats      = 2 * time.Minute  // for which the stream leaves out an entry that it has
	ackWait      = 10 * time.Second // without a sign of life of the consumer: then another gets the entry. Nothing else of the queue is under way meanwhile
	setupTimeout = 5 * time.Second
	headroom     = 8 << 10 // of the largest message, for the headers
	// pullAtOnce is how many entries a consumer asks for; it gets them one by one, as MaxAckPending has it. The library keeps as many messages for who reads them,
	// and drops what does not fit: with 1, an entry that came beside a word of the server's own was lost until NATS gave it again, after ackWait.
	pullAtOnce   = 64
	mostReplicas = 5
)

// exchange is a feed over JetStream. Each queue is a durable consumer of its name, of which one entry is under way at a time: NATS gives what a dead consumer
// had to another only after a while, and what follows would overtake it.
type exchange struct {
	broker.ExchangeOptions
	replicas int
	conn     *nats.Conn
	js       jetstream.JetStream
	made     atomic.Uint64 // on which connection, counted from 1, the stream and its consumers were seen to be there; 0: on none
}

// OpenExchange opens a feed. The URL is as Options has it; behind ?replicas=3 the first may say on how many servers of a cluster the stream is kept, 1 when not
// given. It returns when the first try to connect has ended, well or not: without NATS a node starts, and connects as soon as it can. An error means that the
// options cannot be right, or that ctx ended.
func OpenExchange(ctx context.Context, o broker.ExchangeOptions) (broker.Exchange, error) {
	servers, replicas, err := feedServers(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	x := &exchange{ExchangeOptions: o, replicas: replicas}
	options := []nats.Option{
		nats.Name(o.Name), nats.Timeout(dialTimeout), nats.FlusherTimeout(writeTimeout), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(1),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(minRetry), nats.ReconnectJitter(maxRetry, maxRetry), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // what cannot be sent now is put again by whom it concerns
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { x.Log.Debug("NATS complains", "error", err) }),
	}
	if x.conn, err = nats.Connect(servers, options...); err != nil {
		return nil, fmt.Errorf("set up NATS: %w", err)
	}
	if x.js, err = jetstream.New(x.conn); err != nil {
		x.conn.Close()
		return nil, fmt.Errorf("set up JetStream: %w", err)
	}
	return broker.OpenExchange(ctx, o, x)
}

// feedServers takes replicas=N out of a URL. The URL is in no error: it may hold a password.
func feedServers(text string) (servers string, replicas int, err error) {
	list := strings.Split(text, ",")
	for i, server := range list {
		u, err := url.Parse(server)
		if err != nil || u.Host == "" || i > 0 && u.RawQuery != "" {
			return "", 0, errors.New("the URL of NATS is not nats://HOST:PORT, or several separated by commas, of which the first may end with ?replicas=NUMBER")
		}
		if i == 0 {
			query, queryErr := url.ParseQuery(u.RawQuery)
			replicas = 1
			if value, ok := query["replicas"]; ok {
				replicas, err = strconv.Atoi(value[0])
			}
			if err != nil || queryErr != nil || replicas < 1 || replicas > mostReplicas || len(query) > 1 || len(query) == 1 && len(query["replicas"]) != 1 {
				return "", 0, fmt.Errorf("the URL of NATS may say replicas=NUMBER, from 1 to %d", mostReplicas)
			}
			u.RawQuery = ""
			list[0] = u.String()
		}
	}
	return strings.Join(list, ","), replicas, nil
}

func (x *exchange) Run(ctx context.Context, tried func()) {
	broker.Watch(ctx, x.Log, "NATS", tried, x.Connected, x.look)
}

// look makes the stream and its consumers whenever the connection is a new one.
func (x *exchange) look(ctx context.Context, was bool) error {
	if !x.conn.IsConnected() {
		return broker.ErrExchangeAway
	}
	if was {
		return nil
	}
	connection := x.connection()
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	_, err := x.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Description: "Events of Parley", Subjects: []string{"parley.feed.>"}, Storage: jetstream.FileStorage, Replicas: x.replicas,
		MaxAge: x.Keep, MaxMsgs: int64(x.Length), Discard: jetstream.DiscardOld, Duplicates: min(repeats, x.Keep),
	})
	if err != nil {
		return fmt.Errorf("the stream %s: %w", streamName, err)
	}
	for i := range x.Queues {
		if _, err := x.js.CreateOrUpdateConsumer(ctx, streamName, consumerOf(&x.Queues[i])); err != nil {
			return fmt.Errorf("the consumer %s of the stream %s: %w", x.Queues[i].Name, streamName, err)
		}
	}
	x.made.Store(connection)
	return nil
}

// consumerOf is the durable consumer that a queue is.
func consumerOf(q *broker.Queue) jetstream.ConsumerConfig {
	subjects := []string{queueSubject + q.Name + ".>"}
	if q.Exchange != broker.HeadersExchange {
		keys := q.Keys()
		if fanout := (&broker.Queue{Exchange: broker.FanoutExchange}).Keys(); len(keys) == len(fanout) {
			keys = []string{">"}
		}
		for _, key := range keys {
			subjects = append(subjects, keySubject+key)
		}
	}
	return jetstream.ConsumerConfig{
		Durable: q.Name, FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 1,
	}
}

// connection counts the connections.
func (x *exchange) connection() uint64 { return x.conn.Stats().Reconnects + 1 }

func (x *exchange) Connected() bool { return x.conn.IsConnected() && x.made.Load() == x.connection() }

func (x *exchange) Put(ctx context.Context, b broker.Batch) error {
	for _, wave := range broker.Waves(b.Entries) {
		if err := x.putWave(ctx, b, wave); err != nil {
			if errors.Is(err, jetstream.ErrNoStreamResponse) {
				x.made.Store(0) // somebody has deleted it: look makes it again
			}
			return fmt.Errorf("put into JetStream: %w", err)
		}
	}
	return nil
}

// putWave publishes entries, of which no two are of one room, and waits until JetStream has all of them.
func (x *exchange) putWave(ctx context.Context, b broker.Batch, entries []broker.Entry) error {
	var acks []jetstream.PubAckFuture
	publish := func(subject, id string, e *broker.Entry) error {
		m := &nats.Msg{Subject: subject + e.RoutingKey(), Header: nats.Header{}, Data: e.Data}
		for _, name := range broker.HeaderNames() {
			value, _ := e.Header(name)
			m.Header[name] = []string{value}
		}
		if !b.Again {
			m.Header.Set(jetstream.MsgIDHeader, id)
		}
		ack, err := x.js.PublishMsgAsync(m)
		acks = append(acks, ack)
		return err
	}
	for i := range entries {
		e := &entries[i]
		if b.Queue == "" {
			if err := publish(keySubject, e.ID(), e); err != nil {
				return err
			}
		}
		for j := range x.Queues {
			q := &x.Queues[j]
			alone := b.Queue == q.Name || b.Queue == "" && q.Exchange == broker.HeadersExchange
			if alone && q.Matches(e) {
				if err := publish(queueSubject+q.Name+".", e.ID()+"@"+q.Name, e); err != nil {
					return err
				}
			}
		}
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Consume hands entries over until ctx ends or something fails.
func (x *exchange) Consume(ctx context.Context, queue string, take broker.Take) error {
	if !x.Connected() {
		return broker.ErrExchangeAway
	}
	looking, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	c, err := x.js.Consumer(looking, streamName, queue)
	if err != nil {
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			x.made.Store(0) // as in Put
		}
		return err
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(pullAtOnce), jetstream.PullHeartbeat(pingInterval), jetstream.PullExpiry(6*pingInterval))
	if err != nil {
		return err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		if !deliver(ctx, m, take) {
			return errors.Join(ctx.Err(), m.Nak()) // for another consumer, at once
		}
	}
}

// deliver hands one message over, and tells the server from time to time that somebody is at it.
func deliver(ctx context.Context, m jetstream.Msg, take broker.Take) bool {
	at, stop := context.WithCancel(ctx)
	var busy sync.WaitGroup
	busy.Go(func() {
		for broker.Pause(at, ackWait/3) {
			_ = m.InProgress() // when it does not come through, the entry comes again
		}
	})
	taken := take(ctx, m.Headers().Get, m.Data())
	stop()
	busy.Wait()
	if taken {
		_ = m.Ack() // as InProgress
	}
	return taken
}

// maxEntry leaves room for the headers in the largest message.
func (x *exchange) maxEntry() int {
	if most := x.conn.MaxPayload(); most > 2*headroom {
		return int(most) - headroom
	}
	return assumedMessage - headroom
}

func (x *exchange) Features() broker.ExchangeFeatures {
	return broker.ExchangeFeatures{
		Engine: "nats", Native: []broker.ExchangeKind{broker.DirectExchange, broker.TopicExchange, broker.FanoutExchange},
		Replay: true, Order: broker.OrderPerRoom, MaxEntry: x.maxEntry(),
	}
}

func (x *exchange) Close() { x.conn.Close() }
