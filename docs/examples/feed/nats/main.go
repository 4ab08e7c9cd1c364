// Command nats consumes a queue of the feed in NATS: NATS_URL=nats://… go run ./docs/examples/feed/nats QUEUE
//
// The queue is a durable consumer of which one entry is under way at a time: each comes at least once, and those of a room in the order of their seqs, whoever
// takes them. Remember per room the highest seq that you have dealt with: what is not above it is a repeat.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	if err := consume(os.Getenv("NATS_URL"), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func consume(url, queue string) error {
	conn, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	consumer, err := js.Consumer(context.Background(), "parley-feed", queue)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	for {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		fmt.Println(m.Headers()["room"][0], m.Headers()["seq"][0], m.Headers()["event"][0]) // your work; m.Data() is the event as JSON
		if err := m.Ack(); err != nil {
			return err
		}
	}
}
