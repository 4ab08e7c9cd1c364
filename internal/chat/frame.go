package chat

import (
	"math"

	"github.com/parley-im/parley/protocol"
)

// A frame of the server is at most 4 MiB (§2.1): lists stop early. Sizes are estimated from above, so that nothing is encoded twice.

// listBytes is what the entries of one list may take in a frame; the rest is the frame's own.
const listBytes = protocol.MaxServerFrame - 4<<10

// The bytes that an entry takes beside its strings and raw values: names of members, numbers, times, punctuation.
const (
	messageBytes  = 640
	roomBytes     = 640
	entryBytes    = 320
	reactionBytes = 64
)

// fitMessages takes away messages until the rest fits into one frame: those farthest from the position that was asked for. cut tells whether there were any.
func fitMessages(messages []protocol.Message, p *protocol.MessageListParams) (rest []protocol.Message, cut bool) {
	position := protocol.Seq(math.MaxUint64) // the newest, or those before a position: keep the last
	switch {
	case p.After != nil:
		position = 0
	case p.Around != nil:
		position = *p.Around
	}
	sum := 0
	for i := range messages {
		sum += messageSize(&messages[i])
	}
	for sum > listBytes && len(messages) > 1 {
		cut = true
		first, last := &messages[0], &messages[len(messages)-1]
		if position > last.Seq || position > first.Seq && position-first.Seq > last.Seq-position {
			sum -= messageSize(first)
			messages = messages[1:]
		} else {
			sum -= messageSize(last)
			messages = messages[:len(messages)-1]
		}
	}
	return messages, cut
}

// fitPage asks for a page of at most limit entries, and again for fewer as long as it does not fit into one frame.
func fitPage[T any](limit int, ask func(limit int) ([]T, error), size func(*T) int) ([]T, error) {
	for {
		entries, err := ask(limit)
		if err != nil {
			return nil, err
		}
		room, fit := listBytes, 0
		for fit < len(entries) {
			if room -= size(&entries[fit]); room < 0 {
				break
			}
			fit++
		}
		if fit == len(entries) || len(entries) == 1 {
			return entries, nil
		}
		limit = max(fit, 1)
	}
}

func messageSize(m *protocol.Message) int {
	n := messageBytes + len(m.Room) + 2*len(m.ClientID) + len(m.Data) + len(m.Attachments)
	if m.Text != nil {
		n += quoted(*m.Text)
	}
	for _, user := range m.Mentions {
		n += len(user) + 3
	}
	for _, r := range m.Reactions {
		n += reactionBytes + quoted(r.Emoji)
	}
	return n
}

func roomSize(r *protocol.Room) int {
	return roomBytes + quoted(r.Name) + quoted(r.Topic) + quoted(r.Avatar) + len(r.Data)
}

func entrySize(e *protocol.InboxEntry) int {
	n := entryBytes + roomSize(&e.Room)
	if e.LastMessage != nil {
		n += messageSize(e.LastMessage)
	}
	return n
}

// quoted is the most that a text takes as a JSON string.
func quoted(text string) int {
	n := 2 + len(text)
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ':
			n += 5 // \u0001
		case c == '"', c == '\\':
			n++
		}
	}
	return n
}
