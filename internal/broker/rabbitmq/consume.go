package rabbitmq

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-im/parley/internal/broker"
)

func (x *exchange) Consume(ctx context.Context, queue string, handle func(context.Context, broker.Entry) error) error {
	if broker.FindQueue(x.Queues, queue) == nil {
		return broker.ErrNoQueue
	}
	ctx, done, err := x.consumers.Begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	failing := false
	for ctx.Err() == nil {
		err := x.consume(ctx, queue, handle)
		if ctx.Err() == nil && !failing {
			x.Log.Warn("a queue cannot be consumed; trying again until it can", "queue", queue, "error", err)
		}
		failing = err != nil
		broker.Pause(ctx, minRetry+rand.N(maxRetry-minRetry))
	}
	return context.Cause(ctx)
}

// consume hands entries over until ctx ends or the connection does. What is in hand then RabbitMQ gives to the next consumer, before anything else.
func (x *exchange) consume(ctx context.Context, queue string, handle func(context.Context, broker.Entry) error) error {
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	// The connection ends with ctx also while it is being made.
	ending := context.AfterFunc(ctx, func() { time.AfterFunc(closeTimeout, cut) })
	defer ending()
	conn, channel, err := dial(life, x.servers[rand.IntN(len(x.servers))], x.Name+" consumes")
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(closeTimeout)) }() // whatever comes of it, the socket is closed next
	if err := channel.Qos(feedPrefetch, 0, false); err != nil {
		return err
	}
	const autoAck, exclusive, noLocal, noWait = false, false, false, false
	deliveries, err := channel.Consume(feedPrefix+queue, "", autoAck, exclusive, noLocal, noWait, nil)
	if err != nil {
		return err
	}
	ended := channel.NotifyClose(make(chan *amqp.Error, 1))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, ok := <-deliveries:
			if !ok {
				select {
				case reason := <-ended:
					return because(reason)
				default:
					return errors.New("the queue is gone")
				}
			}
			if err := x.deliver(ctx, queue, d, handle); err != nil {
				return err
			}
		}
	}
}

func (x *exchange) deliver(ctx context.Context, queue string, d amqp.Delivery, handle func(context.Context, broker.Entry) error) error {
	e, err := broker.ReadEntry(func(name string) string {
		value, _ := d.Headers[name].(string)
		return value
	}, d.Body)
	if err != nil {
		x.Log.Warn("an entry of a queue is left out", "queue", queue, "error", err)
	} else if !broker.Deliver(ctx, e, handle) {
		return ctx.Err()
	} else {
		x.consumed.Add(1)
	}
	return d.Ack(false)
}
