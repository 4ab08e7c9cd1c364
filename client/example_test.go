package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/protocol"
)

// deployment is a server for the examples. An application has the URL of its own, and tokens from its back end.
type deployment struct {
	URL    string
	signer *auth.Signer
	stop   func()
}

// serve runs a server with a fresh store.
func serve() deployment {
	dir, err := os.MkdirTemp("", "parley-example-")
	must(err)
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Drain = dir, "127.0.0.1:0", 10*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	server, err := app.New(ctx, cfg, slog.New(slog.DiscardHandler), "test")
	must(err)
	secret, _, err := auth.EnsureSecret(dir)
	must(err)
	signer, err := auth.NewSigner(secret, auth.Terms{}, time.Now)
	must(err)
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()
	return deployment{URL: "http://" + server.Addr(), signer: signer, stop: func() {
		cancel()
		must(<-ended)
		must(os.RemoveAll(dir))
	}}
}

// Token is what an application asks its back end for.
func (d deployment) Token(user string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return d.signer.Sign(auth.Claims{User: user, TTL: time.Hour}) }
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Two users, a room, and a message that one sends and the other sees.
func Example() {
	server := serve()
	defer server.stop()
	ctx := context.Background()

	heard := make(chan string)
	bob, err := client.Connect(ctx, client.Options{
		URL: server.URL, Token: server.Token("bob"),
		Handler: client.Handler{Event: func(e protocol.Event) {
			if e.Name == protocol.MessageCreated {
				message, err := client.Data[protocol.MessageCreatedData](e.Data)
				must(err)
				heard <- fmt.Sprintf("%s said %q as event %d", e.User, *message.Text, e.Seq)
			}
		}},
	})
	must(err)
	defer bob.Close()

	alice, err := client.Connect(ctx, client.Options{URL: server.URL, Token: server.Token("alice")})
	must(err)
	defer alice.Close()
	room, err := alice.Rooms.Direct(ctx, "bob")
	must(err)
	// When Send returns, the message is on disk and has its place.
	sent, err := alice.Send(ctx, protocol.MessageSendParams{Room: room.ID, Text: "hello"})
	must(err)
	fmt.Println("stored as event", sent.Seq)
	fmt.Println(<-heard)
	// Output:
	// stored as event 2
	// alice said "hello" as event 2
}

// An application that stops and starts again goes on where its handler had got.
func ExampleClient_Positions() {
	server := serve()
	defer server.stop()
	ctx := context.Background()
	alice, err := client.Connect(ctx, client.Options{URL: server.URL, Token: server.Token("alice")})
	must(err)
	defer alice.Close()

	events := make(chan protocol.Event)
	options := client.Options{
		URL: server.URL, Token: server.Token("bob"), Device: "bobs-phone",
		Handler: client.Handler{Event: func(e protocol.Event) { events <- e }},
	}
	bob, err := client.Connect(ctx, options)
	must(err)
	room, err := alice.Rooms.Direct(ctx, "bob")
	must(err)
	fmt.Println("seen", (<-events).Name)
	bob.Close()
	kept := bob.Positions() // how far the handler has got: keep it on disk

	_, err = alice.Send(ctx, protocol.MessageSendParams{Room: room.ID, Text: "while you were away"})
	must(err)

	options.Resume = &kept
	bob, err = client.Connect(ctx, options)
	must(err)
	defer bob.Close()
	missed := <-events
	fmt.Println("missed", missed.Name, missed.Seq)
	// Output:
	// seen room.created
	// missed message.created 2
}

// A refusal tells what is wrong by its code.
func ExampleClient_Send_refused() {
	server := serve()
	defer server.stop()
	ctx := context.Background()
	alice, err := client.Connect(ctx, client.Options{URL: server.URL, Token: server.Token("alice")})
	must(err)
	defer alice.Close()

	_, err = alice.Send(ctx, protocol.MessageSendParams{Room: "r_that_never_was", Text: "hello"})
	if refusal, ok := err.(*protocol.Error); ok {
		fmt.Println(refusal.Code, refusal.Field)
	}
	// Output:
	// not_found room
}

// Without a session: calls over HTTP, here as a user, in a back end with a Key.
func ExampleHTTP() {
	server := serve()
	defer server.stop()
	ctx := context.Background()
	alice, err := client.NewHTTP(client.HTTPOptions{URL: server.URL, Token: server.Token("alice")})
	must(err)

	made, err := alice.Rooms.Create(ctx, protocol.RoomCreateParams{Kind: protocol.Channel, Name: "news", ClientID: "news-1"})
	must(err)
	_, err = alice.Messages.Send(ctx, protocol.MessageSendParams{Room: made.Room.ID, ClientID: "first", Text: "we are open"})
	must(err)
	list, err := alice.Messages.List(ctx, protocol.MessageListParams{Room: made.Room.ID})
	must(err)
	for _, m := range list.Messages {
		fmt.Println(*m.User, *m.Text)
	}
	// Output:
	// alice we are open
}
