package rabbitmq

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-im/parley/internal/broker"
)

// Consume hands entries over until ctx ends or the connection does. What is in hand then RabbitMQ gives to the next consumer, before anything else.
func (x *exchange) Consume(ctx context.Context, queue string, take broker.Take) error {
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
			if !take(ctx, header(d.Headers), d.Body) {
				return ctx.Err()
			}
			if err := d.Ack(false); err != nil {
				return err
			}
		}
	}
}

func header(headers amqp.Table) func(name string) string {
	return func(name string) string {
		value, _ := headers[name].(string)
		return value
	}
}
