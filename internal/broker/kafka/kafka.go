// Package kafka connects the nodes of a cluster through Kafka: one topic, of which every node reads every partition from its end, without a consumer group.
// A room's messages have the key room:ID and so share a partition, in order; a node's broadcasts have the key node:NAME. A node looks at the key of each
// record and copies those that it follows.
//
// The client library mends what breaks, and does not say what was lost meanwhile. Here one goroutine ([link.run]) owns one [session] after the other: a
// session ends with the first fetch that fails, and the next one begins at the ends of the partitions.
//
//	Publish → the session's buffer (bounded) → Kafka    never waits
//	Kafka → the session → inbox (bounded) → Receiver
package kafka

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/parley-im/parley/internal/broker"
)

const (
	// maxMessage leaves room for a key and Kafka's own framing in the largest batch that a broker takes by default.
	maxMessage = 960 << 10

	// What waits to be sent, and what waits for the receiver, in bytes of messages and keys.
	outboxBytes  = 16 << 20
	outboxCount  = 64 << 10
	mailboxBytes = 16 << 20

	flushTimeout = time.Second // for what waits when the link is closed

	// A lost session is tried again after a time between these, so that nodes do not come back all at once.
	minRetry = 100 * time.Millisecond
	maxRetry = time.Second
)

// What a record's key begins with.
const (
	roomKey = "room:"
	nodeKey = "node:"
)

// Options say where Kafka is.
type Options struct {
	// URL is kafka://HOST:9092/TOPIC?partitions=12, or kafkas:// for TLS; several servers of one cluster are separated by commas, and all but the first
	// are a scheme and a host only. The topic is "parley" when none is named; partitions (12 when not given) counts only when the topic is made.
	// USER:PASSWORD@ before the host is for SASL: scram-sha-512, or what sasl=MECHANISM says.
	URL  string
	Name string       // the node's: the client id that Kafka shows, and the key of its broadcasts
	Log  *slog.Logger // slog.Default() when nil
}

// link is a node's link to Kafka, over whatever session there is.
type link struct {
	target    target
	name      string
	log       *slog.Logger
	inbox     *broker.Mailbox
	stop      context.CancelFunc
	loop      sync.WaitGroup // run
	closed    atomic.Bool
	session   atomic.Pointer[session] // the latest; it may have ended
	published atomic.Uint64
	received  atomic.Uint64
	dropped   atomic.Uint64

	// rooms are those followed, each under its own name: so that a key is looked up, and a message named, without a new string. The lock is taken once
	// for the records of a fetched partition, by the one goroutine that reads.
	mu    sync.RWMutex
	rooms map[string]string
}

// Open joins a node to Kafka. It returns when the first try to connect has ended, well or not: without Kafka the node starts, and connects as soon as it
// can. An error means that the options cannot be right, or that ctx ended.
func Open(ctx context.Context, o Options, r broker.Receiver) (broker.Live, error) {
	target, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &link{target: target, name: o.Name, log: o.Log, rooms: map[string]string{}}
	receive := func(m broker.Message) {
		l.received.Add(1)
		r.Receive(m)
	}
	l.inbox = broker.OpenMailbox(mailboxBytes, receive, r.Lost)
	running, stop := context.WithCancel(context.Background())
	l.stop = stop
	tried := make(chan struct{})
	l.loop.Go(func() { l.run(running, tried) })
	select {
	case <-tried:
		return l, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), l.Close())
	}
}

// run keeps a session until ctx ends. It closes tried when the first try to begin one has ended.
func (l *link) run(ctx context.Context, tried chan<- struct{}) {
	failing := false // and the log has the reason
	for first := true; ctx.Err() == nil; first = false {
		s, err := l.begin(ctx)
		if err == nil {
			failing = false
			l.session.Store(s)
			l.log.Info("connected to Kafka", "topic", l.target.topic)
			if !first {
				l.inbox.Lose()
			}
		} else if !failing && ctx.Err() == nil {
			failing = true
			l.log.Warn("Kafka cannot be used; trying again until it can", "topic", l.target.topic, "error", err)
		}
		if first {
			close(tried)
		}
		if err == nil {
			if err := s.run(); ctx.Err() == nil {
				l.log.Warn("Kafka was lost; trying again until it is back", "topic", l.target.topic, "error", err)
			}
		}
		select {
		case <-time.After(minRetry + rand.N(maxRetry-minRetry)):
		case <-ctx.Done():
		}
	}
}

// current is the session that can be used, nil when there is none.
func (l *link) current() *session {
	s := l.session.Load()
	if s == nil || s.ctx.Err() != nil || l.closed.Load() {
		return nil
	}
	return s
}

// take moves what concerns this node out of a partition's records. A message is copied: it would keep the whole batch in memory.
func (l *link) take(records []*kgo.Record) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, record := range records {
		name, ok := "", false
		if room, isRoom := bytes.CutPrefix(record.Key, []byte(roomKey)); isRoom {
			name, ok = l.rooms[string(room)]
		} else {
			ok = bytes.HasPrefix(record.Key, []byte(nodeKey))
		}
		if ok && !l.inbox.Put(broker.Message{Room: name, Data: slices.Clone(record.Value)}) {
			l.dropped.Add(1)
		}
	}
}

func (l *link) Publish(room string, message []byte) { l.put(roomKey+room, message) }

func (l *link) Broadcast(message []byte) { l.put(nodeKey+l.name, message) }

func (l *link) put(key string, message []byte) {
	s := l.current()
	if s == nil || len(message) > maxMessage || len(key) > maxKey {
		l.dropped.Add(1)
		return
	}
	l.published.Add(1)
	s.client.TryProduce(s.ctx, &kgo.Record{Key: []byte(key), Value: slices.Clone(message)}, l.settled)
}

// maxKey is far more than the name of a room or a node has.
const maxKey = 1024

// settled is called by the library when Kafka has a record, or will not get it.
func (l *link) settled(_ *kgo.Record, err error) {
	if err == nil {
		return
	}
	l.dropped.Add(1)
	if refusal := (*kerr.Error)(nil); errors.As(err, &refusal) && !refusal.Retriable { // not for a leader that moves
		l.log.Warn("Kafka refused a message", "topic", l.target.topic, "error", refusal)
	}
}

var (
	errAway   = errors.New("follow rooms: Kafka is away")
	errClosed = errors.New("follow rooms: the broker is closed")
	errNoName = errors.New("follow rooms: a room without a name")
)

// Follow notes the rooms. Every partition is being read from where it ended before this, or from further back, so that nothing has to be waited for.
func (l *link) Follow(_ context.Context, rooms []string) error {
	if l.closed.Load() {
		return errClosed
	}
	if slices.Contains(rooms, "") {
		return errNoName
	}
	l.mu.Lock()
	for _, room := range rooms {
		l.rooms[room] = room
	}
	l.mu.Unlock()
	if l.current() == nil {
		return errAway
	}
	return nil
}

func (l *link) Unfollow(rooms []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, room := range rooms {
		delete(l.rooms, room)
	}
}

func (l *link) Features() broker.Features {
	return broker.Features{Engine: "kafka", Directness: broker.Firehose, MaxMessage: maxMessage}
}

func (l *link) Stats() broker.Stats {
	stats := broker.Stats{
		Published: l.published.Load(),
		Received:  l.received.Load(),
		Dropped:   l.dropped.Load(),
		Inbox:     l.inbox.Stats(),
		Outbox:    broker.MailboxStats{Limit: outboxBytes},
	}
	if s := l.current(); s != nil {
		stats.Connected = true
		stats.Outbox.Bytes = int(s.client.BufferedProduceBytes())
	}
	return stats
}

func (l *link) Close() error {
	s := l.current()
	l.closed.Store(true)
	if s != nil {
		ctx, cancel := context.WithTimeout(s.ctx, flushTimeout)
		defer cancel()
		_ = s.client.Flush(ctx) // what has not gone by then is dropped
	}
	l.stop()
	l.loop.Wait()
	l.inbox.Close()
	return nil
}
