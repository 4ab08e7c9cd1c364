package terminal

import (
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// An Event is something that has happened: one of the types below.
type Event any

// What the person and the terminal do.
type (
	// Key is a key that was pressed: its name, such as "enter" or "ctrl+n", and what it types, if anything.
	Key struct{ Name, Text string }
	// Paste is text from the clipboard.
	Paste struct{ Text string }
	// Resize tells the size of the terminal, in cells.
	Resize struct{ Width, Height int }
	// Focus tells whether the terminal is in front.
	Focus struct{ On bool }
	// Tick tells the time, about once a second.
	Tick struct{ Now time.Time }
	// Note is a word for the person.
	Note struct{ Text string }
)

// What the server says.
type (
	// Connection tells what the connection does now.
	Connection struct{ State client.State }
	// Inbox tells what has changed in the list of rooms.
	Inbox struct {
		Rooms   []protocol.InboxEntry
		Removed []string
	}
	// Logged is the next event of a room that is followed.
	Logged struct{ Event protocol.Event }
	// Reset tells that the stream of a room could not be continued.
	Reset struct{ Room string }
	// Signalled is a signal.
	Signalled struct{ Signal client.Signal }
	// Kept is a message that waits in the outbox.
	Kept struct{ Message client.Queued }
	// Settled tells what became of a message.
	Settled struct {
		Message client.Queued
		Result  protocol.MessageSendResult
		Err     error
	}
	// Answer is the answer to a Call. Result is of the type that the protocol's table of methods has, and set if Err is nil.
	Answer struct {
		Call   Call
		Result any
		Err    error
	}
)

// An Effect is something to do: one of the types below.
type Effect any

// What the model wants done.
type (
	// Call calls a method; its Answer follows.
	Call struct {
		Method string
		Params any
		Life   uint64 // of the timeline that asks
		Silent bool   // a failure is nobody's business
	}
	// Send puts a message into the outbox; Settled follows in the end.
	Send struct{ Message protocol.MessageSendParams }
	// Read moves the read cursor of a room.
	Read struct {
		Room string
		Seq  protocol.Seq
	}
	// SaveDrafts keeps what was begun and not sent, by room.
	SaveDrafts struct{ Drafts map[string]string }
	// Quit ends the program.
	Quit struct{}
)
