// Package client is the Go SDK of Parley: a session that stays, a stream without holes, and sends that are carried out once.
//
//	c, err := client.Connect(ctx, client.Options{
//		URL:   "https://chat.example.com",
//		Token: func(ctx context.Context) (string, error) { return fetchToken(ctx) },
//		Handler: client.Handler{
//			Event: func(e protocol.Event) { … },
//		},
//	})
//	…
//	sent, err := c.Send(ctx, protocol.MessageSendParams{Room: room, Text: "hello"})
//
// [Client] is for programs that act as one user. It reconnects by itself and resumes where it was, so that a [Handler] sees every event of every room
// it follows once and in order, or a reset that says that it cannot. What is given to [Client.Send] waits in an outbox until the server has answered
// for good, under one client_id over all attempts. Delivered cursors are reported as events are handled. Every method of the protocol is a method of
// one of the fields of [Methods], and [Client.Call] calls any by name.
//
// [HTTP] makes the same calls over HTTP, for back ends: with an API key, or as a user.
//
// [Link] is the session below Client: it keeps one open and hands on raw frames. [Conn] is the WebSocket below that. They are for programs
// that hold thousands of sessions, such as load generators and bridges.
//
// The errors of calls are *[protocol.Error], errors of the context, or *[StoppedError] where the server has forbidden to come back.
package client
