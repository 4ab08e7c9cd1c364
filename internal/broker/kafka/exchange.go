package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/parley-im/parley/internal/broker"
)

const (
	// mostEntry leaves room for a key, headers and Kafka's own framing in the largest batch that a broker takes by default.
	mostEntry = 960 << 10

	setupTimeout = 20 * time.Second
	feedLinger   = time.Millisecond
	pollAtOnce   = 256 // records of one poll of a consumer
	sessionTime  = 10 * time.Second
)

// exchange is a feed over topics: TOPIC.feed.QUEUE for each queue, written by an idempotent producer with the acknowledgement of all replicas in sync. The key of a
// record is its room, so that a room's entries are in one partition; a queue's consumers are a group of the topic's name, and share its partitions.
type exchange struct {
	broker.ExchangeOptions
	target target
	client *kgo.Client
	admin  *kadm.Client
	ready  atomic.Bool // all topics are there, and Kafka has answered a short while ago
}

// OpenExchange opens a feed. The URL is as Options has it; partitions counts for each queue's topic when it is made. It returns when the first try to connect has
// ended, well or not: without Kafka a node starts, and connects as soon as it can. An error means that the options cannot be right, or that ctx ended.
func OpenExchange(ctx context.Context, o broker.ExchangeOptions) (broker.Exchange, error) {
	target, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	x := &exchange{ExchangeOptions: o, target: target}
	producer := []kgo.Opt{
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(feedLinger),
		kgo.ProducerBatchMaxBytes(1000012), // of brokers by default
		kgo.RecordDeliveryTimeout(putLimit),
		kgo.AllowIdempotentProduceCancellation(), // or a Put would wait until Kafka is back; what it gives up is put again, and may be a repeat
	}
	if x.client, err = kgo.NewClient(append(x.settings(), producer...)...); err != nil {
		return nil, fmt.Errorf("set up Kafka: %w", err)
	}
	x.admin = kadm.NewClient(x.client)
	return broker.OpenExchange(ctx, o, x)
}

// putLimit is how long the library tries to have a record acknowledged. Then it fails all that it has for the partition, and the order is kept by putting it again.
const putLimit = 10 * time.Second

// settings are what the producer and the consumers have in common.
func (x *exchange) settings() []kgo.Opt {
	settings := []kgo.Opt{
		kgo.SeedBrokers(x.target.hosts...),
		kgo.ClientID(x.Name),
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.RetryTimeout(requestTimeout),
		kgo.MetadataMinAge(minMetaAge),
		kgo.MetadataMaxAge(metadataAge),
	}
	if x.target.tls {
		settings = append(settings, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if x.target.user != "" {
		settings = append(settings, kgo.SASL(x.target.mechanism()))
	}
	return settings
}

func (x *exchange) Run(ctx context.Context, tried func()) {
	broker.Watch(ctx, x.Log, "Kafka", tried, x.ready.Load, x.look)
}

// look asks for the topics, and makes those that are not there.
func (x *exchange) look(ctx context.Context, _ bool) (err error) {
	defer func() { x.ready.Store(err == nil) }()
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	for {
		err := x.tryLook(ctx)
		if err == nil || !kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownTopicOrPartition) || !broker.Pause(ctx, leaderPause) {
			return err
		}
	}
}

func (x *exchange) tryLook(ctx context.Context) error {
	var topics []string
	for _, q := range x.Queues {
		topics = append(topics, x.topic(q.Name))
	}
	if len(topics) == 0 {
		return x.client.Ping(ctx)
	}
	details, err := x.admin.ListTopics(ctx, topics...)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		detail := details[topic]
		switch {
		case errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
			if err := x.create(ctx, topic); err != nil {
				return err
			}
		case detail.Err != nil:
			return fmt.Errorf("the topic %s: %w", topic, detail.Err)
		default:
			for _, p := range detail.Partitions {
				if p.Err != nil {
					return fmt.Errorf("the topic %s, partition %d: %w", topic, p.Partition, p.Err)
				}
			}
		}
	}
	return nil
}

func (x *exchange) create(ctx context.Context, topic string) error {
	keep := strconv.FormatInt(x.Keep.Milliseconds(), 10)
	const asConfigured = -1 // Kafka's default.replication.factor
	_, err := x.admin.CreateTopic(ctx, x.target.partitions, asConfigured, map[string]*string{"retention.ms": &keep}, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("make the topic %s: %w", topic, err)
	}
	return nil
}

func (x *exchange) topic(queue string) string { return x.target.topic + ".feed." + queue }

func (x *exchange) Connected() bool { return x.ready.Load() }

func (x *exchange) Put(ctx context.Context, b broker.Batch) error {
	var records []*kgo.Record
	for i := range b.Entries {
		for j := range x.Queues {
			q := &x.Queues[j]
			if (b.Queue == "" || b.Queue == q.Name) && q.Matches(&b.Entries[i]) {
				records = append(records, x.record(q.Name, &b.Entries[i]))
			}
		}
	}
	return x.produce(ctx, records)
}

func (x *exchange) record(queue string, e *broker.Entry) *kgo.Record {
	r := &kgo.Record{Topic: x.topic(queue), Key: []byte(e.Room), Value: e.Data}
	for _, name := range broker.HeaderNames() {
		value, _ := e.Header(name)
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r
}

// produce waits for the acknowledgement of all records. When one of a partition fails, the idempotent producer fails those that follow it there as well.
func (x *exchange) produce(ctx context.Context, records []*kgo.Record) error {
	for _, result := range x.client.ProduceSync(ctx, records...) {
		switch {
		case result.Err == nil:
		case errors.Is(result.Err, kerr.MessageTooLarge):
			seq := ""
			for _, h := range result.Record.Headers {
				if h.Key == broker.HeaderSeq {
					seq = string(h.Value)
				}
			}
			n, _ := strconv.ParseUint(seq, 10, 64) // written above
			return broker.Refuse(&broker.Entry{Room: string(result.Record.Key), Seq: n}, "the topic %s takes no record of this size (max.message.bytes)", result.Record.Topic)
		default:
			return fmt.Errorf("put into Kafka: %w", result.Err)
		}
	}
	return nil
}

// Consume is a member of the queue's group until ctx ends or something fails. Partitions are not taken away from it while it has records of them in hand, unless it
// has them for longer than a rebalance may take, a minute: then they come again, to another.
func (x *exchange) Consume(ctx context.Context, queue string, take broker.Take) error {
	topic := x.topic(queue)
	client, err := kgo.NewClient(append(x.settings(),
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(sessionTime), kgo.HeartbeatInterval(sessionTime/5),
		kgo.FetchMaxWait(fetchWait), kgo.FetchMaxBytes(fetchBytes),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	defer client.AllowRebalance()
	for {
		fetches := client.PollRecords(ctx, pollAtOnce)
		for _, fault := range fetches.Errors() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !kerr.IsRetriable(fault.Err) {
				return fault.Err
			}
		}
		taken, err := deliver(ctx, fetches.Records(), take)
		if len(taken) > 0 {
			committing, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
			err = errors.Join(err, client.CommitRecords(committing, taken...))
			cancel()
		}
		if err != nil {
			return err
		}
		client.AllowRebalance()
	}
}

// deliver hands records over until ctx ends, and returns what is to be committed.
func deliver(ctx context.Context, records []*kgo.Record, take broker.Take) (taken []*kgo.Record, err error) {
	for _, r := range records {
		header := func(name string) string {
			for _, h := range r.Headers {
				if h.Key == name {
					return string(h.Value)
				}
			}
			return ""
		}
		if !take(ctx, header, r.Value) {
			return taken, ctx.Err()
		}
		taken = append(taken, r)
	}
	return taken, nil
}

func (x *exchange) Features() broker.ExchangeFeatures {
	return broker.ExchangeFeatures{Engine: "kafka", Replay: true, Order: broker.OrderPerRoom, MaxEntry: mostEntry}
}

func (x *exchange) Close() { x.client.Close() }
