// Package api carries out the methods of the protocol: it knows who is calling, asks the core, and answers, the same on every transport.
//
// A call goes through the same steps wherever it came from: the method's row in the table, the form of its params (protocol), its handler (calls.go), the
// core (chat). On a WebSocket (peer.go) what makes an event or moves a cursor is handed on without waiting, so that pipelined calls share a transaction and
// keep their order; any other call first waits until the session's earlier ones are answered, so that it sees what they did.
//
// Sessions are opened by hello (hello.go), by the request for an event stream (stream.go) or by a first poll (poll.go), and are the same from then on. What an
// event stream has besides is where its client stands (stream_track.go), which its event ids say (stream_id.go).
package api
