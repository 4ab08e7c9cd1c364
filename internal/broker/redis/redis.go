// Package redis connects the nodes of a cluster through the publish/subscribe of Redis or Valkey. A room's messages go over the channel parley:DB:room:ID, to
// which the nodes that follow it subscribe; broadcasts go over parley:DB:all. DB is the number of the database in the URL: channels know no databases, and
// deployments that share a server have one each.
//
// One goroutine ([link.run]) owns one connection after the other: one that ended is never used again, and the next begins with everything that is followed.
// It alone subscribes and unsubscribes, so that what happens to one room happens in order; Follow waits for it, Unfollow does not.
//
//	Publish → outbox (bounded) → PUBLISH, all that waits at once     never waits
//	the connection → inbox (bounded) → Receiver
package redis

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
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
	maxMessage   = 1 << 20
	mailboxBytes = 16 << 20 // of each of the two mailboxes
	maxAtOnce    = 256      // messages in one pipeline
	maxChannels  = 1000     // in one SUBSCRIBE

	bufferBytes = 64 << 10 // for reading and for writing, of each of the two connections
	ringScale   = 8        // 2^8 commands under way

	dialTimeout  = 2 * time.Second
	replyTimeout = 5 * time.Second
	pingInterval = 5 * time.Second // with one unanswered for replyTimeout, the connection is given up

	// A lost connection is tried again after a time between these, so that nodes do not come back all at once.
	minRetry = 100 * time.Millisecond
	maxRetry = time.Second
)

// Options say where Redis is.
type Options struct {
	URL  string       // redis://HOST:6379/DB or rediss://… for TLS, with user and password where needed
	Name string       // what Redis shows these connections as
	Log  *slog.Logger // slog.Default() when nil
}

// link is a node's link to Redis, over whatever connection there is.
type link struct {
	options   rueidis.ClientOption
	log       *slog.Logger
	prefix    string // of channels
	inbox     *broker.Mailbox
	outbox    *broker.Mailbox
	stop      context.CancelFunc
	loop      sync.WaitGroup // run
	wake      chan struct{}  // of size 1: there are changes
	closed    atomic.Bool
	conn      atomic.Pointer[connection] // nil while there is none; changed with mu held
	published atomic.Uint64
	received  atomic.Uint64
	dropped   atomic.Uint64

	mu      sync.Mutex
	rooms   map[string]struct{} // what is followed
	changed map[string]struct{} // rooms that the connection may follow otherwise
	waiting []chan error        // of size 1: calls of Follow
}

// connection is what is open to the server: one socket to publish over, one to receive from.
type connection struct {
	client     rueidis.Client
	subscriber rueidis.DedicatedClient
	ended      <-chan error // the subscriber's; it has one value
}

// Open joins a node to Redis. It returns when the first try to connect has ended, well or not: without Redis the node starts, and connects as soon as it can.
// An error means that the options cannot be right, or that ctx ended.
func Open(ctx context.Context, o Options, r broker.Receiver) (broker.Live, error) {
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
	options.PipelineMultiplex = -1 // one socket, which keeps the order
	options.AlwaysPipelining = true
	options.RingScaleEachConn, options.ReadBufferEachConn, options.WriteBufferEachConn = ringScale, bufferBytes, bufferBytes
	options.Dialer.Timeout, options.Dialer.KeepAlive, options.ConnWriteTimeout = dialTimeout, pingInterval, replyTimeout
	l := &link{
		options: options, log: o.Log, prefix: "parley:" + strconv.Itoa(options.SelectDB) + ":",
		wake: make(chan struct{}, 1), rooms: map[string]struct{}{}, changed: map[string]struct{}{},
	}
	receive := func(m broker.Message) {
		l.received.Add(1)
		r.Receive(m)
	}
	l.inbox = broker.OpenMailbox(mailboxBytes, receive, r.Lost)
	l.outbox = broker.OpenBatchMailbox(mailboxBytes, maxAtOnce, l.send, func() {})
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

// run keeps a connection until ctx ends. It closes tried when the first try to connect has ended.
func (l *link) run(ctx context.Context, tried chan<- struct{}) {
	for first := true; ctx.Err() == nil; first = false {
		conn, err := l.connect(ctx)
		if err == nil {
			l.log.Info("connected to Redis", "server", l.options.InitAddress[0])
			if !first {
				l.inbox.Lose()
			}
		} else if first {
			l.log.Warn("Redis cannot be reached; trying again until it can", "error", err)
		}
		if first {
			close(tried)
		}
		if err == nil {
			if err := l.serve(ctx, conn); err != nil {
				l.log.Warn("the connection to Redis was lost; trying again until it is back", "error", err)
			}
			l.disconnect(conn)
		}
		select {
		case <-time.After(minRetry + rand.N(maxRetry-minRetry)):
		case <-ctx.Done():
		}
	}
}

// connect makes a connection on which everything that is followed arrives.
func (l *link) connect(ctx context.Context) (*connection, error) {
	client, err := rueidis.NewClient(l.options)
	if err != nil {
		if client != nil {
			client.Close()
		}
		return nil, err
	}
	subscriber, _ := client.Dedicate()
	conn := &connection{client: client, subscriber: subscriber}
	conn.ended = subscriber.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: l.arrive})
	l.mu.Lock()
	rooms := make([]string, 0, len(l.rooms))
	for room := range l.rooms {
		rooms = append(rooms, room)
	}
	clear(l.changed)
	l.conn.Store(conn) // from now on Follow notes what changes
	l.mu.Unlock()
	if err := l.subscribe(ctx, conn, rooms, nil); err != nil {
		l.disconnect(conn)
		return nil, err
	}
	return conn, nil
}

// serve carries out what changes until the connection or ctx ends; then it says why, with nil for ctx.
func (l *link) serve(ctx context.Context, conn *connection) error {
	for {
		select {
		case <-l.wake:
			if err := l.settle(ctx, conn); err != nil && ctx.Err() == nil {
				return err
			}
		case err := <-conn.ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// settle has the connection follow what is followed, and tells the calls of Follow that wait for it.
func (l *link) settle(ctx context.Context, conn *connection) error {
	l.mu.Lock()
	var come, gone []string
	for room := range l.changed {
		if _, ok := l.rooms[room]; ok {
			come = append(come, room)
		} else {
			gone = append(gone, room)
		}
	}
	clear(l.changed)
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	err := l.subscribe(ctx, conn, come, gone)
	for _, done := range waiting {
		done <- err
	}
	return err
}

// subscribe subscribes to rooms and to broadcasts, ends subscriptions, and returns when the server has done so.
func (l *link) subscribe(ctx context.Context, conn *connection, come, gone []string) error {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	s := conn.subscriber
	commands := rueidis.Commands{s.B().Subscribe().Channel(l.prefix + "all").Build()}
	for part := range slices.Chunk(l.channels(come), maxChannels) {
		commands = append(commands, s.B().Subscribe().Channel(part...).Build())
	}
	for part := range slices.Chunk(l.channels(gone), maxChannels) {
		commands = append(commands, s.B().Unsubscribe().Channel(part...).Build())
	}
	for _, result := range s.DoMulti(ctx, append(commands, s.B().Ping().Build())...) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) channels(rooms []string) []string {
	channels := make([]string, len(rooms))
	for i, room := range rooms {
		channels[i] = l.channel(room)
	}
	return channels
}

// channel is where the messages of a room go; "" stands for broadcasts.
func (l *link) channel(room string) string {
	if room == "" {
		return l.prefix + "all"
	}
	return l.prefix + "room:" + room
}

// disconnect takes the connection out of use and closes it.
func (l *link) disconnect(conn *connection) {
	l.mu.Lock()
	l.conn.Store(nil)
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, done := range waiting {
		done <- errAway
	}
	conn.subscriber.Close()
	conn.client.Close()
}

// arrive is called by the library with each message, in order.
func (l *link) arrive(m rueidis.PubSubMessage) {
	room, ok := strings.CutPrefix(m.Channel, l.prefix+"room:")
	if !ok {
		room = ""
	}
	if !l.inbox.Put(broker.Message{Room: room, Data: []byte(m.Message)}) {
		l.dropped.Add(1)
	}
}

func (l *link) Publish(room string, message []byte) {
	if room == "" {
		l.dropped.Add(1)
		return
	}
	l.put(room, message)
}

func (l *link) Broadcast(message []byte) { l.put("", message) }

func (l *link) put(room string, message []byte) {
	sendable := l.conn.Load() != nil && !l.closed.Load() && len(message) <= maxMessage
	if !sendable || !l.outbox.Put(broker.Message{Room: room, Data: slices.Clone(message)}) {
		l.dropped.Add(1)
		return
	}
	l.published.Add(1)
}

// send publishes messages. A connection that does not take them is given up: it would cost every message its time to fail.
func (l *link) send(batch []broker.Message) {
	conn := l.conn.Load()
	if conn == nil {
		l.dropped.Add(uint64(len(batch)))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), replyTimeout)
	defer cancel()
	commands := make(rueidis.Commands, len(batch))
	for i, m := range batch {
		commands[i] = conn.client.B().Publish().Channel(l.channel(m.Room)).Message(rueidis.BinaryString(m.Data)).Build()
	}
	for _, result := range conn.client.DoMulti(ctx, commands...) {
		if result.Error() == nil {
			continue
		}
		l.dropped.Add(1)
		if result.NonRedisError() != nil {
			conn.subscriber.Close() // run notices
		}
	}
}

var errAway = errors.New("follow rooms: Redis is away")

func (l *link) Follow(ctx context.Context, rooms []string) error {
	if l.closed.Load() {
		return errors.New("follow rooms: the broker is closed")
	}
	done := make(chan error, 1)
	l.mu.Lock()
	for _, room := range rooms {
		l.rooms[room] = struct{}{} // without a connection the next will carry it
		l.changed[room] = struct{}{}
	}
	away := l.conn.Load() == nil
	if !away {
		l.waiting = append(l.waiting, done)
	}
	l.mu.Unlock()
	if away {
		return errAway
	}
	l.poke()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link) Unfollow(rooms []string) {
	l.mu.Lock()
	for _, room := range rooms {
		delete(l.rooms, room)
		l.changed[room] = struct{}{}
	}
	l.mu.Unlock()
	l.poke()
}

func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *link) Features() broker.Features {
	return broker.Features{Engine: "redis", Directness: broker.PerKey, MaxMessage: maxMessage}
}

func (l *link) Stats() broker.Stats {
	return broker.Stats{
		Published: l.published.Load(),
		Received:  l.received.Load(),
		Dropped:   l.dropped.Load(),
		Connected: l.conn.Load() != nil && !l.closed.Load(),
		Inbox:     l.inbox.Stats(),
		Outbox:    l.outbox.Stats(),
	}
}

func (l *link) Close() error {
	l.closed.Store(true)
	l.outbox.Close() // what waits is still sent
	l.stop()
	l.loop.Wait()
	l.inbox.Close()
	return nil
}
