// Package rabbitmq connects the nodes of a cluster through RabbitMQ. A room belongs to one of 4,096 buckets. Its messages go to the direct exchange
// parley.rooms with the number of the bucket as routing key; broadcasts go to the fanout exchange parley.all. Each node has a queue of its own, bound to the
// buckets of the rooms that it follows; what it does not follow of a bucket is left out before the receiver is called. Nothing is durable, and nothing confirmed.
//
// One goroutine ([link.run]) owns one [session] after the other: two connections, so that RabbitMQ can hold up the one that publishes without holding up the
// one that receives. A session of which a part ended is never used again, and the next one is bound to everything that is followed before it is used.
//
//	Publish → outbox (bounded) → one connection                              never waits
//	the other connection → session.receive → inbox (bounded) → Receiver
//
// Where RabbitMQ itself is a cluster, a binding may reach its other servers a moment after Follow has returned.
package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-im/parley/internal/broker"
)

const (
	// maxMessage is ours: RabbitMQ takes more, and does not tell how much.
	maxMessage = 1 << 20

	// mailboxBytes bounds each of the two mailboxes.
	mailboxBytes = 16 << 20

	// buckets is into how many parts rooms are divided. All nodes must agree on it, and on bucketOf.
	buckets = 4096

	// unbindsAtOnce is how many buckets are given up between two looks for new ones: each takes a round trip, and nobody waits for it.
	unbindsAtOnce = 64

	maxName       = 100             // bytes of a node's name: that of its queue may have 255
	followTimeout = 5 * time.Second // for the server's word that rooms are bound
	closeTimeout  = time.Second     // for what waits to be sent, and then for the server to take leave

	// A lost session is tried again after a time between these, so that nodes do not come back all at once.
	minRetry = 100 * time.Millisecond
	maxRetry = time.Second
)

// Options say where RabbitMQ is.
type Options struct {
	URL  string       // amqp://USER:PASSWORD@HOST:5672/VHOST or amqps://…; several servers of one cluster are separated by commas
	Name string       // what RabbitMQ shows the connections and the queue as: at most 100 bytes
	Log  *slog.Logger // slog.Default() when nil
}

// link is a node's link to RabbitMQ, over whatever session there is.
type link struct {
	servers   []string
	name      string
	log       *slog.Logger
	inbox     *broker.Mailbox
	outbox    *broker.Mailbox
	stop      context.CancelFunc
	loop      sync.WaitGroup
	closed    atomic.Bool
	published atomic.Uint64
	received  atomic.Uint64
	dropped   atomic.Uint64
	session   atomic.Pointer[session] // nil while there is none; changed with mu held
	work      chan struct{}           // wakes run: what is wanted may differ from what is bound

	mu      sync.RWMutex // guards the rest; held over no call to RabbitMQ
	rooms   map[string]struct{}
	wanted  [buckets]int32 // rooms followed of each bucket
	bound   [buckets]bool  // of the session in use, or of the one that is about to be
	waiting []chan<- error // calls of Follow that wait until what was wanted then is bound; each has room for one answer
}

// Open joins a node to RabbitMQ. It returns when the first try to connect has ended, well or not: without RabbitMQ the node starts, and connects as soon as it
// can. An error means that the options cannot be right, or that ctx ended.
func Open(ctx context.Context, o Options, r broker.Receiver) (broker.Live, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	servers := strings.Split(o.URL, ",")
	for _, server := range servers {
		if err := checkServer(server); err != nil {
			return nil, err
		}
	}
	if len(o.Name) > maxName {
		return nil, fmt.Errorf("the node's name is longer than %d bytes", maxName)
	}
	l := &link{servers: servers, name: o.Name, log: o.Log, work: make(chan struct{}, 1), rooms: map[string]struct{}{}}
	receive := func(m broker.Message) {
		l.received.Add(1)
		r.Receive(m)
	}
	l.inbox = broker.OpenMailbox(mailboxBytes, receive, r.Lost)
	l.outbox = broker.OpenMailbox(mailboxBytes, l.send, func() {})
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

// checkServer finds what no try to connect could mend. The URL is in no error: it may hold a password.
func checkServer(server string) error {
	u, err := url.Parse(server)
	if err == nil {
		_, err = amqp.ParseURI(server)
	}
	if err != nil || u.Host == "" {
		return errors.New("the URL of RabbitMQ is not amqp://HOST:PORT/VHOST, or several separated by commas")
	}
	return nil
}

// run keeps a session until ctx ends. It closes tried when the first try to open one has ended.
func (l *link) run(ctx context.Context, tried chan<- struct{}) {
	for first := true; ctx.Err() == nil; first = false {
		s, err := l.connect(ctx)
		if err == nil {
			l.log.Info("connected to RabbitMQ", "server", s.address())
			if !first {
				l.inbox.Lose()
			}
		} else if first {
			l.log.Warn("RabbitMQ cannot be reached; trying again until it can", "error", err)
		}
		if first {
			close(tried)
		}
		if err == nil {
			if err = l.serve(ctx, s); err != nil {
				l.log.Warn("the connection to RabbitMQ was lost; trying again until it is back", "error", err)
			}
			l.disconnect(s)
		}
		select {
		case <-time.After(minRetry + rand.N(maxRetry-minRetry)):
		case <-ctx.Done():
		}
	}
}

// connect opens a session with one of the servers and takes it into use.
func (l *link) connect(ctx context.Context) (*session, error) {
	var faults error
	for _, i := range rand.Perm(len(l.servers)) {
		s, err := openSession(ctx, l.servers[i], l.name, l.arrived)
		if err == nil {
			if err = l.adopt(s); err == nil {
				return s, nil
			}
			l.disconnect(s)
		}
		faults = errors.Join(faults, err)
	}
	return nil, faults
}

// adopt binds a session to what is followed, and takes it into use once nothing lacks.
func (l *link) adopt(s *session) error {
	for l.session.Load() == nil {
		if err := l.rebind(s); err != nil {
			return err
		}
		l.mu.Lock()
		if bind, _ := l.changes(); len(bind) == 0 {
			l.session.Store(s)
		}
		l.mu.Unlock()
	}
	return nil
}

// serve looks after the session in use until it fails, which is the error, or ctx ends.
func (l *link) serve(ctx context.Context, s *session) error {
	blocking := s.blocking
	for {
		select {
		case <-l.work:
			if err := l.rebind(s); err != nil {
				return err
			}
		case b, ok := <-blocking:
			s.blocked.Store(b.Active)
			switch {
			case !ok:
				blocking = nil // its connection has ended, which the session will say
			case b.Active:
				l.log.Warn("RabbitMQ takes no messages for now; hints are dropped", "reason", b.Reason)
			default:
				l.log.Info("RabbitMQ takes messages again")
				l.inbox.Lose() // it will not have taken those of the other nodes either
			}
		case err := <-s.ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// disconnect takes the session out of use and closes it.
func (l *link) disconnect(s *session) {
	l.mu.Lock()
	l.session.Store(nil)
	l.bound = [buckets]bool{}
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, w := range waiting {
		w <- errAway
	}
	s.close()
}

// rebind binds what is wanted and is not bound, answers who waited for that, and unbinds some of what is not wanted any more.
func (l *link) rebind(s *session) error {
	l.mu.Lock()
	bind, unbind := l.changes()
	for _, bucket := range unbind {
		l.bound[bucket] = false // who wants it from now on waits until it is bound anew
	}
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()

	err := s.bind(bind)
	if err == nil {
		l.mu.Lock()
		for _, bucket := range bind {
			l.bound[bucket] = true
		}
		l.mu.Unlock()
	}
	for _, w := range waiting {
		w <- err
	}
	if err != nil {
		return err
	}
	if len(unbind) == unbindsAtOnce {
		l.wake() // there may be more
	}
	return s.unbind(unbind)
}

// changes finds the buckets that are wanted and not bound, and some of those that are bound and not wanted. l.mu is held.
func (l *link) changes() (bind, unbind []int) {
	for bucket := range buckets {
		switch wanted := l.wanted[bucket] > 0; {
		case wanted && !l.bound[bucket]:
			bind = append(bind, bucket)
		case !wanted && l.bound[bucket] && len(unbind) < unbindsAtOnce:
			unbind = append(unbind, bucket)
		}
	}
	return bind, unbind
}

// wake has run look for changes.
func (l *link) wake() {
	select {
	case l.work <- struct{}{}:
	default: // it will look
	}
}

// arrived takes what the queue brings.
func (l *link) arrived(d amqp.Delivery) {
	room := ""
	if d.Exchange == roomsExchange {
		room = d.CorrelationId
		l.mu.RLock()
		_, followed := l.rooms[room]
		l.mu.RUnlock()
		if !followed {
			return
		}
	}
	if !l.inbox.Put(broker.Message{Room: room, Data: d.Body}) {
		l.dropped.Add(1)
	}
}

// bucketOf is the bucket of a room.
func bucketOf(room string) int {
	h := fnv.New32a()
	h.Write([]byte(room))
	return int(h.Sum32() % buckets)
}

// isName reports whether a room's name fits where a message carries it.
func isName(room string) bool { return 0 < len(room) && len(room) <= 255 }

func (l *link) Publish(room string, message []byte) {
	if !isName(room) {
		l.dropped.Add(1)
		return
	}
	l.put(room, message)
}

func (l *link) Broadcast(message []byte) { l.put("", message) }

func (l *link) put(room string, message []byte) {
	s := l.session.Load()
	sendable := s != nil && !s.blocked.Load() && !l.closed.Load() && len(message) <= maxMessage
	if !sendable || !l.outbox.Put(broker.Message{Room: room, Data: slices.Clone(message)}) {
		l.dropped.Add(1)
		return
	}
	l.published.Add(1)
}

// send hands a message to the session. It waits while RabbitMQ does not read; meanwhile the outbox fills.
func (l *link) send(m broker.Message) {
	if s := l.session.Load(); s == nil || !s.publish(m) {
		l.dropped.Add(1)
	}
}

var errAway = errors.New("RabbitMQ is away")

func (l *link) Follow(ctx context.Context, rooms []string) error {
	if err := l.follow(ctx, rooms); err != nil {
		return fmt.Errorf("follow rooms: %w", err)
	}
	return nil
}

func (l *link) follow(ctx context.Context, rooms []string) error {
	if l.closed.Load() {
		return errors.New("the broker is closed")
	}
	for _, room := range rooms {
		if !isName(room) {
			return errors.New("a room's name is empty or longer than 255 bytes")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	select {
	case err := <-l.want(rooms):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// want notes what is followed. The channel gets one answer: nil when all of it is bound.
func (l *link) want(rooms []string) <-chan error {
	answer := make(chan error, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	bound := true
	for _, room := range rooms {
		bucket := bucketOf(room)
		if _, followed := l.rooms[room]; !followed {
			l.rooms[room] = struct{}{}
			l.wanted[bucket]++
		}
		bound = bound && l.bound[bucket]
	}
	switch {
	case l.session.Load() == nil:
		answer <- errAway
	case bound:
		answer <- nil
	default:
		l.waiting = append(l.waiting, answer)
		l.wake()
	}
	return answer
}

func (l *link) Unfollow(rooms []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, room := range rooms {
		if _, followed := l.rooms[room]; followed {
			delete(l.rooms, room)
			l.wanted[bucketOf(room)]--
		}
	}
	l.wake()
}

func (l *link) Features() broker.Features {
	return broker.Features{Engine: "rabbitmq", Directness: broker.PerBucket, MaxMessage: maxMessage}
}

func (l *link) Stats() broker.Stats {
	return broker.Stats{
		Published: l.published.Load(),
		Received:  l.received.Load(),
		Dropped:   l.dropped.Load(),
		Connected: l.session.Load() != nil && !l.closed.Load(),
		Inbox:     l.inbox.Stats(),
		Outbox:    l.outbox.Stats(),
	}
}

func (l *link) Close() error {
	l.closed.Store(true)
	late := time.AfterFunc(closeTimeout, l.stop) // while RabbitMQ reads nothing, only the end of the session ends a message that is being sent
	l.outbox.Close()                             // what waits is still sent
	late.Stop()
	l.stop()
	l.loop.Wait()
	l.inbox.Close()
	return nil
}
