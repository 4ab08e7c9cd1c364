// Package protocol is the wire contract of Parley, version 1, as Go types: the frames, the table of methods with their params and results, the
// pushes, the error and close codes, and the bounds that hold before anything else is looked at. docs/protocol.md is the same contract in words;
// comments here cite its sections as "§".
//
// The package does no I/O and holds no state. Every function may be called from any goroutine.
package protocol

// Version is the name of this version of the protocol as a WebSocket subprotocol (§2).
const Version = "parley.v1"
