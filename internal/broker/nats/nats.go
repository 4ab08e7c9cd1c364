// Package nats connects the nodes of a cluster through NATS: core subjects, no streams. A room's messages go over PREFIX.room.ID, to which the nodes that
// follow it subscribe; broadcasts go over PREFIX.all.
//
// The client library's own reconnecting is turned off. It would hold its lock while it dials, and so make publishers wait. Here one goroutine ([link.run])
// owns one connection after the other: a connection that ended is never used again, and the next one begins with everything that is followed.
//
//	Publish → outbox (bounded) → the connection         never waits
//	the connection → arrived → inbox (bounded) → Receiver
//
// Where NATS itself is a cluster, a subscription reaches its other servers a moment after Follow has returned.
package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-im/parley/internal/broker"
)

const (
	// assumedMessage is what NATS allows by default, until a server has told.
	assumedMessage = 1 << 20

	// mailboxBytes bounds each of the two mailboxes.
	mailboxBytes = 16 << 20

	// arrivedMessages is how many messages may stand between the library and the inbox, to which they are moved at once. The library reads a million in a
	// second and does not wait; on a busy machine it may be tens of milliseconds before the mover gets its turn.
	arrivedMessages = 32 << 10

	dialTimeout  = 2 * time.Second
	flushTimeout = 5 * time.Second // for the server's word that it has processed what was sent
	writeTimeout = 5 * time.Second
	pingInterval = 5 * time.Second // with one unanswered, the connection is given up after at most twice that

	// A lost connection is tried again after a time between these, so that nodes do not come back all at once.
	minRetry = 100 * time.Millisecond
	maxRetry = time.Second
)

// Options say where NATS is.
type Options struct {
	URL    string       // nats://HOST:4222 or tls://…, with user and password where needed; several servers of one cluster are separated by commas
	Name   string       // what NATS shows this connection as
	Prefix string       // begins the subjects: letters, digits, _ and -, also in several parts joined by dots. "parley" when empty
	Log    *slog.Logger // slog.Default() when nil
}

// link is a node's link to NATS, over whatever connection there is.
type link struct {
	options   nats.Options
	log       *slog.Logger
	prefix    string
	arrived   chan *nats.Msg // from all connections
	inbox     *broker.Mailbox
	outbox    *broker.Mailbox
	stop      context.CancelFunc
	loops     sync.WaitGroup // run and receive
	closed    atomic.Bool
	most      atomic.Int64 // bytes of a message
	published atomic.Uint64
	received  atomic.Uint64
	dropped   atomic.Uint64

	mu    sync.Mutex                    // guards rooms; taken before the library's own locks
	rooms map[string]*nats.Subscription // what is followed; nil while there is no connection
	conn  atomic.Pointer[nats.Conn]     // nil while there is no connection; changed with mu held
}

// Open joins a node to NATS. It returns when the first try to connect has ended, well or not: without NATS the node starts, and connects as soon as it
// can. An error means that the options cannot be right, or that ctx ended.
func Open(ctx context.Context, o Options, r broker.Receiver) (broker.Live, error) {
	if o.Prefix == "" {
		o.Prefix = "parley"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	l := &link{
		log:     o.Log,
		prefix:  o.Prefix,
		arrived: make(chan *nats.Msg, arrivedMessages),
		rooms:   map[string]*nats.Subscription{},
	}
	l.most.Store(assumedMessage)
	if err := l.configure(o); err != nil {
		return nil, err
	}
	receive := func(m broker.Message) {
		l.received.Add(1)
		r.Receive(m)
	}
	l.inbox = broker.OpenMailbox(mailboxBytes, receive, r.Lost)
	l.outbox = broker.OpenMailbox(mailboxBytes, l.send, func() {})
	running, stop := context.WithCancel(context.Background())
	l.stop = stop
	tried := make(chan struct{})
	l.loops.Go(func() { l.run(running, tried) })
	l.loops.Go(func() { l.receive(running) })
	select {
	case <-tried:
		return l, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), l.Close())
	}
}

// check finds what no try to connect could mend. The URL is in no error: it may hold a password.
func (o Options) check() error {
	for server := range strings.SplitSeq(o.URL, ",") {
		if u, err := url.Parse(server); err != nil || u.Host == "" {
			return errors.New("the URL of NATS is not nats://HOST:PORT, or several separated by commas")
		}
	}
	for part := range strings.SplitSeq(o.Prefix, ".") {
		if !isToken(part) {
			return fmt.Errorf("the prefix %q of the subjects is not made of letters, digits, _ and -", o.Prefix)
		}
	}
	return nil
}

// configure makes the library's options.
func (l *link) configure(o Options) error {
	l.options = nats.GetDefaultOptions()
	l.options.Servers = strings.Split(o.URL, ",")
	for _, option := range []nats.Option{
		nats.Name(o.Name),
		nats.NoReconnect(),
		nats.Timeout(dialTimeout),
		nats.FlusherTimeout(writeTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(1),
		nats.ErrorHandler(l.complain),
	} {
		if err := option(&l.options); err != nil {
			return fmt.Errorf("set up NATS: %w", err)
		}
	}
	return nil
}

// complain is called by the library when something went wrong beside a call.
func (l *link) complain(_ *nats.Conn, s *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		l.dropped.Add(1) // at least: the library tells of the first of a row
		l.inbox.Lose()
		return
	}
	subject := ""
	if s != nil {
		subject = s.Subject
	}
	l.log.Warn("NATS complains", "subject", subject, "error", err)
}

// run keeps a connection until ctx ends. It closes tried when the first try to connect has ended.
func (l *link) run(ctx context.Context, tried chan<- struct{}) {
	for first := true; ctx.Err() == nil; first = false {
		conn, ended, err := l.connect()
		if err == nil {
			l.log.Info("connected to NATS", "server", conn.ConnectedUrlRedacted())
			if !first {
				l.inbox.Lose()
			}
		} else if first {
			l.log.Warn("NATS cannot be reached; trying again until it can", "error", err)
		}
		if first {
			close(tried)
		}
		if err == nil {
			select {
			case <-ended:
				l.log.Warn("the connection to NATS was lost; trying again until it is back", "error", conn.LastError())
			case <-ctx.Done():
			}
			l.disconnect(conn)
			<-ended
		}
		select {
		case <-time.After(minRetry + rand.N(maxRetry-minRetry)):
		case <-ctx.Done():
		}
	}
}

// connect makes a connection on which everything that is followed arrives, and returns it with a channel that is closed when it has ended.
func (l *link) connect() (*nats.Conn, <-chan struct{}, error) {
	ended := make(chan struct{})
	options := l.options
	options.ClosedCB = func(*nats.Conn) { close(ended) }
	conn, err := options.Connect()
	if err != nil {
		return nil, nil, err
	}
	if err = l.adopt(conn); err == nil {
		err = conn.FlushTimeout(flushTimeout)
	}
	if err != nil {
		l.disconnect(conn)
		<-ended
		return nil, nil, err
	}
	return conn, ended, nil
}

// adopt makes a connection the one that is used, and subscribes on it to what is followed.
func (l *link) adopt(conn *nats.Conn) error {
	l.most.Store(conn.MaxPayload())
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := conn.ChanSubscribe(l.subject(""), l.arrived); err != nil {
		return err
	}
	for room := range l.rooms {
		sub, err := conn.ChanSubscribe(l.subject(room), l.arrived)
		if err != nil {
			return err
		}
		l.rooms[room] = sub
	}
	l.conn.Store(conn)
	return nil
}

// disconnect takes the connection out of use and closes it.
func (l *link) disconnect(conn *nats.Conn) {
	l.mu.Lock()
	l.conn.Store(nil)
	for room := range l.rooms {
		l.rooms[room] = nil
	}
	l.mu.Unlock()
	conn.Close()
}

// receive moves messages into the inbox.
func (l *link) receive(ctx context.Context) {
	for {
		select {
		case m := <-l.arrived:
			room := strings.TrimPrefix(strings.TrimPrefix(m.Subject, l.prefix+".room."), l.prefix+".all")
			if !l.inbox.Put(broker.Message{Room: room, Data: m.Data}) {
				l.dropped.Add(1)
			}
		case <-ctx.Done():
			return
		}
	}
}

// subject is where the messages of a room go; "" stands for broadcasts.
func (l *link) subject(room string) string {
	if room == "" {
		return l.prefix + ".all"
	}
	return l.prefix + ".room." + room
}

// isToken reports whether s may be a part of a subject. Anything else could stand for several subjects, or break the line that carries it.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 256
}

func (l *link) Publish(room string, message []byte) {
	if !isToken(room) {
		l.dropped.Add(1)
		return
	}
	l.put(room, message)
}

func (l *link) Broadcast(message []byte) { l.put("", message) }

func (l *link) put(room string, message []byte) {
	sendable := l.conn.Load() != nil && !l.closed.Load() && len(message) <= l.maxMessage()
	if !sendable || !l.outbox.Put(broker.Message{Room: room, Data: slices.Clone(message)}) {
		l.dropped.Add(1)
		return
	}
	l.published.Add(1)
}

// send hands a message to the connection. One that cannot be written to is given up: it would cost every message its time to fail.
func (l *link) send(m broker.Message) {
	conn := l.conn.Load()
	if conn == nil {
		l.dropped.Add(1)
		return
	}
	if err := conn.Publish(l.subject(m.Room), m.Data); err != nil {
		l.dropped.Add(1)
		if !errors.Is(err, nats.ErrMaxPayload) {
			conn.Close() // run notices
		}
	}
}

var errAway = errors.New("follow rooms: NATS is away")

func (l *link) Follow(ctx context.Context, rooms []string) error {
	conn, err := l.subscribe(rooms)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("follow rooms: %w", err)
	}
	return nil
}

// subscribe notes what is followed and returns the connection on which the subscriptions were sent.
func (l *link) subscribe(rooms []string) (*nats.Conn, error) {
	if l.closed.Load() {
		return nil, errors.New("follow rooms: the broker is closed")
	}
	for _, room := range rooms {
		if !isToken(room) {
			return nil, fmt.Errorf("follow rooms: %q cannot be a part of a subject", room)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	conn := l.conn.Load()
	var fault error
	for _, room := range rooms {
		sub := l.rooms[room]
		if sub == nil && conn != nil {
			var err error
			if sub, err = conn.ChanSubscribe(l.subject(room), l.arrived); err != nil {
				fault = fmt.Errorf("follow rooms: %w", err)
			}
		}
		l.rooms[room] = sub // without a connection, or on one that has just ended, the next will carry it
	}
	if conn == nil {
		return nil, errAway
	}
	return conn, fault
}

func (l *link) Unfollow(rooms []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, room := range rooms {
		if sub := l.rooms[room]; sub != nil {
			_ = sub.Unsubscribe() // fails only with its connection, and that is the end of it too
		}
		delete(l.rooms, room)
	}
}

func (l *link) maxMessage() int { return int(l.most.Load()) }

func (l *link) Features() broker.Features {
	return broker.Features{Engine: "nats", Directness: broker.PerKey, MaxMessage: l.maxMessage()}
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
	l.loops.Wait()
	l.inbox.Close()
	return nil
}
