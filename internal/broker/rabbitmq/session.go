package rabbitmq

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-im/parley/internal/broker"
)

// The names of what is made in RabbitMQ. All begin with the same word, so that one pattern can permit them.
const (
	roomsExchange = "parley.rooms" // direct, by bucket
	allExchange   = "parley.all"   // fanout
	queuePrefix   = "parley.node."
)

const (
	// queueBytes bounds what RabbitMQ keeps for a node that does not read; the oldest are dropped.
	queueBytes = 16 << 20

	// prefetch is how many messages may be on their way to a node. Without an end to that, RabbitMQ would keep what a slow node does not read outside of its
	// queue, where there is no bound. Every ackEvery messages are acknowledged at once, which keeps the rest of prefetch flowing.
	prefetch = 512
	ackEvery = 128

	dialTimeout      = 2 * time.Second
	handshakeTimeout = 5 * time.Second
	setupTimeout     = 30 * time.Second // to declare everything, or to bind thousands of buckets on a busy server
	heartbeat        = 6 * time.Second  // a connection on which nothing has come for one and a half of these has ended
)

// session is two connections to one server, the queue of the node there, and its bindings. bind and unbind are for one goroutine, publish for another.
type session struct {
	cut       context.CancelFunc // closes the sockets
	publisher *amqp.Connection
	out       *amqp.Channel // of publisher
	consumer  *amqp.Connection
	in        *amqp.Channel // of consumer; once there are messages, receive alone uses it
	topology  *amqp.Channel // of consumer, beside in: a channel is for one goroutine
	queue     string
	blocking  chan amqp.Blocking // what RabbitMQ says of its memory and its disk; closed with its connection
	blocked   atomic.Bool        // by RabbitMQ: it takes no messages
	ended     chan error         // why a part of the session has ended by itself
	watchers  sync.WaitGroup     // receive, and who waits for the end of out
}

// openSession connects to a server, makes the queue and begins to receive. It gives up when ctx ends. What comes is given to arrived, by one goroutine.
func openSession(ctx context.Context, server, name string, arrived func(amqp.Delivery)) (*session, error) {
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	s := &session{cut: cut, queue: queuePrefix + name + "." + rand.Text(), blocking: make(chan amqp.Blocking, 8), ended: make(chan error, 2)}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cut)()
	deliveries, err := s.setUp(life, server, name)
	if err != nil {
		s.close()
		return nil, err
	}
	outEnded, inEnded := s.out.NotifyClose(make(chan *amqp.Error, 1)), s.in.NotifyClose(make(chan *amqp.Error, 1))
	s.watchers.Go(func() { s.ended <- because(<-outEnded) })
	s.watchers.Go(func() {
		s.receive(deliveries, arrived)
		select {
		case reason := <-inEnded:
			s.ended <- because(reason)
		default:
			s.ended <- errors.New("the queue is gone")
		}
	})
	return s, nil
}

// because makes an error of what the library says, which may be nothing.
func because(reason *amqp.Error) error {
	if reason == nil {
		return errors.New("the connection has ended")
	}
	return reason
}

// setUp fills in the connections, the channels and the queue, and returns what arrives.
func (s *session) setUp(life context.Context, server, name string) (<-chan amqp.Delivery, error) {
	const durable, internal, autoDelete, exclusive, noWait, autoAck, noLocal = false, false, true, true, false, false, false
	var err error
	if s.publisher, s.out, err = dial(life, server, name+" publishes"); err != nil {
		return nil, err
	}
	s.publisher.NotifyBlocked(s.blocking)
	for exchange, kind := range map[string]string{roomsExchange: amqp.ExchangeDirect, allExchange: amqp.ExchangeFanout} {
		// It stays when the last node goes: one that publishes then would lose its channel.
		if err := s.out.ExchangeDeclare(exchange, kind, durable, !autoDelete, internal, noWait, nil); err != nil {
			return nil, err
		}
	}
	if s.consumer, s.in, err = dial(life, server, name+" receives"); err != nil {
		return nil, err
	}
	if s.topology, err = s.consumer.Channel(); err != nil {
		return nil, err
	}
	arguments := amqp.Table{
		amqp.QueueTypeArg:        amqp.QueueTypeClassic, // whatever the virtual host makes by default
		amqp.QueueMaxLenBytesArg: queueBytes,
		amqp.QueueOverflowArg:    amqp.QueueOverflowDropHead,
	}
	if _, err := s.in.QueueDeclare(s.queue, durable, autoDelete, exclusive, noWait, arguments); err != nil {
		return nil, err
	}
	if err := s.in.QueueBind(s.queue, "", allExchange, noWait, nil); err != nil {
		return nil, err
	}
	if err := s.in.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	return s.in.Consume(s.queue, "", autoAck, exclusive, noLocal, noWait, nil)
}

// dial opens a connection, whose socket is closed at the latest when life ends, and a channel on it.
func dial(life context.Context, server, name string) (*amqp.Connection, *amqp.Channel, error) {
	connect := func(network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(life, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(life, func() { conn.Close() })
		return socket{conn}, conn.SetDeadline(time.Now().Add(handshakeTimeout)) // the library lifts it after the handshake
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	conn, err := amqp.DialConfig(server, amqp.Config{Dial: connect, Heartbeat: heartbeat, Properties: properties})
	if err != nil {
		return nil, nil, err
	}
	channel, err := conn.Channel()
	return conn, channel, err
}

// socket closes itself when nothing can be read from it any more. The library would do that only after a write that waits for the other side has ended.
type socket struct{ net.Conn }

func (s socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil {
		s.Conn.Close()
	}
	return n, err
}

// receive takes messages until there come no more.
func (s *session) receive(deliveries <-chan amqp.Delivery, arrived func(amqp.Delivery)) {
	unacknowledged := 0
	for d := range deliveries {
		arrived(d)
		if unacknowledged++; unacknowledged == ackEvery {
			unacknowledged = 0
			_ = s.in.Ack(d.DeliveryTag, true) // fails with its channel, and that is the end of the loop
		}
	}
}

// publish hands a message to RabbitMQ and reports whether it took it. It waits while RabbitMQ does not read.
func (s *session) publish(m broker.Message) bool {
	if s.blocked.Load() {
		return false
	}
	exchange, key := allExchange, ""
	if m.Room != "" {
		exchange, key = roomsExchange, strconv.Itoa(bucketOf(m.Room))
	}
	const mandatory, immediate = false, false
	return s.out.Publish(exchange, key, mandatory, immediate, amqp.Publishing{DeliveryMode: amqp.Transient, CorrelationId: m.Room, Body: m.Data}) == nil
}

// bind returns when RabbitMQ has bound the buckets. It waits for its word only once: a channel is served in order.
func (s *session) bind(all []int) error {
	return s.bounded(func() error {
		for i, bucket := range all {
			noWait := i < len(all)-1
			if err := s.topology.QueueBind(s.queue, strconv.Itoa(bucket), roomsExchange, noWait, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// unbind ends what bind began.
func (s *session) unbind(all []int) error {
	return s.bounded(func() error {
		for _, bucket := range all {
			if err := s.topology.QueueUnbind(s.queue, strconv.Itoa(bucket), roomsExchange, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// bounded ends the session when a conversation with RabbitMQ takes too long: the library would wait for ever.
func (s *session) bounded(talk func() error) error {
	late := time.AfterFunc(setupTimeout, s.cut)
	defer late.Stop()
	return talk()
}

func (s *session) address() string { return s.publisher.RemoteAddr().String() }

// close takes leave of the server, as far as it answers, and returns when nothing arrives any more.
func (s *session) close() {
	deadline := time.Now().Add(closeTimeout)
	for _, conn := range []*amqp.Connection{s.consumer, s.publisher} {
		if conn != nil {
			_ = conn.CloseDeadline(deadline) // whatever comes of it, the socket is closed next
		}
	}
	s.cut()
	s.watchers.Wait()
}
