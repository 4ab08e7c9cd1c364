package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	beginTimeout   = 10 * time.Second // to begin a session, the making of the topic included
	leaderPause    = 50 * time.Millisecond
	dialTimeout    = 2 * time.Second
	requestTimeout = 5 * time.Second

	linger       = 5 * time.Millisecond // gathers what a busy node publishes
	lifetime     = 3 * time.Second      // of a record that waits to be sent: later, others have found by themselves what it was about
	fetchWait    = 250 * time.Millisecond
	fetchBytes   = 8 << 20 // of one answer; the poll never waits, so that hardly more is in memory
	metadataAge  = 30 * time.Second
	minMetaAge   = 250 * time.Millisecond // of what is known about leaders, when one seems to have moved
	lookInterval = 5 * time.Second        // between looks at the topic
)

// session is one uninterrupted reading of the topic, with the client that also publishes. Its context ends, with the reason, when the reading does.
type session struct {
	link   *link
	client *kgo.Client
	admin  *kadm.Client
	ctx    context.Context
	fail   context.CancelCauseFunc

	partitions map[int32]bool // being read
}

// begin connects and finds where to read from. When it has returned, whatever is published will be read.
func (l *link) begin(ctx context.Context) (*session, error) {
	s := &session{link: l, partitions: map[int32]bool{}}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	var err error
	if s.client, err = kgo.NewClient(append(l.settings(), kgo.WithHooks(s))...); err != nil {
		s.fail(err)
		return nil, err
	}
	s.admin = kadm.NewClient(s.client)
	limited, cancel := context.WithTimeout(s.ctx, beginTimeout)
	defer cancel()
	if err = s.position(limited); err != nil {
		s.fail(err)
		s.client.Close()
		return nil, err
	}
	return s, nil
}

// settings make the client one that carries hints: it gives up early, and what was lost is nobody's loss.
func (l *link) settings() []kgo.Opt {
	settings := []kgo.Opt{
		kgo.SeedBrokers(l.target.hosts...),
		kgo.ClientID(l.name),
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.RetryTimeout(requestTimeout),
		kgo.RetryBackoffFn(func(int) time.Duration { return minRetry }),
		kgo.RequestRetries(2),
		kgo.MetadataMinAge(minMetaAge),
		kgo.MetadataMaxAge(metadataAge),

		kgo.DefaultProduceTopic(l.target.topic),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		// Idempotent writing would want the acknowledgement of all replicas. One request at a time keeps the order as well.
		kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.RequiredAcks(kgo.LeaderAck()),
		kgo.RecordRetries(0),
		kgo.RecordDeliveryTimeout(lifetime),
		kgo.ProduceRequestTimeout(lifetime),
		kgo.ProducerLinger(linger),
		kgo.MaxBufferedBytes(outboxBytes),
		kgo.MaxBufferedRecords(outboxCount),

		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a position that is gone ends the session
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxBytes(fetchBytes),
	}
	if l.target.tls {
		settings = append(settings, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if l.target.user != "" {
		settings = append(settings, kgo.SASL(l.target.mechanism()))
	}
	return settings
}

// position makes the topic if it is not there, and begins to read all of it from the end. A topic just made has no leaders for a moment.
func (s *session) position(ctx context.Context) error {
	for {
		err := s.tryPosition(ctx)
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-time.After(leaderPause):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *session) tryPosition(ctx context.Context) error {
	topic := s.link.target.topic
	detail, err := s.look(ctx)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if err = s.create(ctx); err != nil {
			return err
		}
		detail, err = s.look(ctx)
	}
	if err != nil {
		return err
	}
	ends, err := s.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("the ends of the topic %s: %w", topic, err)
	}
	starts := map[int32]kgo.Offset{}
	for partition, end := range ends[topic] {
		starts[partition] = kgo.NewOffset().At(end.Offset)
	}
	if len(starts) < len(detail.Partitions) {
		return fmt.Errorf("the ends of the topic %s: %w", topic, kerr.LeaderNotAvailable)
	}
	s.read(starts)
	return nil
}

// look reads what Kafka says about the topic.
func (s *session) look(ctx context.Context) (kadm.TopicDetail, error) {
	topic := s.link.target.topic
	details, err := s.admin.ListTopics(ctx, topic)
	detail := details[topic]
	if err == nil {
		err = detail.Err
	}
	if err == nil && len(detail.Partitions) == 0 {
		err = kerr.LeaderNotAvailable
	}
	if err != nil {
		return detail, fmt.Errorf("the topic %s: %w", topic, err)
	}
	return detail, nil
}

// create makes the topic. Hints are of no use after seconds: what is kept is small.
func (s *session) create(ctx context.Context) error {
	setting := func(value string) *string { return &value }
	settings := map[string]*string{
		"cleanup.policy":  setting("delete"),
		"retention.ms":    setting("300000"),    // five minutes
		"retention.bytes": setting("134217728"), // 128 MiB of each partition
		"segment.ms":      setting("60000"),
		"segment.bytes":   setting("16777216"),
	}
	const asConfigured = -1 // Kafka's default.replication.factor
	_, err := s.admin.CreateTopic(ctx, s.link.target.partitions, asConfigured, settings, s.link.target.topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("make the topic %s: %w", s.link.target.topic, err)
	}
	return nil
}

// read adds partitions to those that are read.
func (s *session) read(starts map[int32]kgo.Offset) {
	for partition := range starts {
		s.partitions[partition] = true
	}
	s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.link.target.topic: maps.Clone(starts)})
}

// run reads until the session ends, closes it and says why it ended.
func (s *session) run() error {
	var watching sync.WaitGroup
	watching.Go(s.watch)
	for s.ctx.Err() == nil {
		fetches := s.client.PollFetches(s.ctx)
		fetches.EachError(func(_ string, _ int32, err error) { s.fail(err) })
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { s.link.take(p.Records) })
	}
	watching.Wait()
	s.client.Close()
	return context.Cause(s.ctx)
}

// watch looks at the topic from time to time. Partitions that were added are read from their beginning, so that nothing of them is missed.
func (s *session) watch() {
	ticks := time.NewTicker(lookInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-s.ctx.Done():
			return
		}
		detail, err := s.look(s.ctx)
		if err != nil {
			continue // the fetches tell whether it matters
		}
		added := map[int32]kgo.Offset{}
		for partition := range detail.Partitions {
			if !s.partitions[partition] {
				added[partition] = kgo.NewOffset().AtStart()
			}
		}
		if len(added) > 0 {
			s.read(added)
			s.link.log.Info("Kafka has more partitions", "topic", s.link.target.topic, "partitions", len(s.partitions))
		}
	}
}

// OnBrokerE2E is called by the library after each request. While the session lives there is always a fetch under way to every server that leads a
// partition, so that the first one that fails tells that a server is gone; the library alone would go on later and say nothing.
func (s *session) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if err := e2e.Err(); err != nil && key == int16(kmsg.Fetch) && !errors.Is(err, context.Canceled) {
		s.fail(err)
	}
}
