package terminal

import (
	"slices"
	"sort"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

const (
	// pageSize is how many messages are asked for at a time.
	pageSize = 50
	// A timeline that follows the end of a room holds at most mostMessages, and is then cut to its newest keptMessages: scrolling back reads the rest again.
	mostMessages, keptMessages = 1000, 500
)

// timeline is the part of a room's messages that is at hand: all of them from the first held up to high, without a hole, each as the log up to high
// has made it.
//
// It joins two sources: pages as of some head, and the stream of events. A page may be newer than the stream, so an event is applied to a message only above
// its rev; or older, so the events that come while a page is on its way are kept and applied to it again.
type timeline struct {
	messages []protocol.Message
	skipped  []protocol.SkippedData // what a sampled room left out
	high     protocol.Seq
	loaded   bool // there has been a page
	complete bool // nothing is older than the first message
	loading  bool // a page is on its way
	missed   []protocol.Event
	life     uint64 // pages asked for in another life are void
}

// reset forgets everything.
func (t *timeline) reset() {
	*t = timeline{life: t.life + 1}
}

// ask begins to load a page, older than what is held or the newest, and reports false where there is no need.
func (t *timeline) ask(room string) (p protocol.MessageListParams, ok bool) {
	if t.loading || t.loaded && t.complete {
		return p, false
	}
	t.loading = true
	p = protocol.MessageListParams{Room: room, Limit: pageSize}
	if t.loaded && len(t.messages) > 0 {
		before := t.messages[0].Seq
		p.Before = &before
	}
	return p, true
}

// failed ends a load that brought nothing.
func (t *timeline) failed() {
	t.loading, t.missed = false, nil
}

// page takes what ask asked for.
func (t *timeline) page(p protocol.MessageListParams, r protocol.MessageListResult, me string) {
	t.loading, t.complete = false, !r.More
	if p.Before == nil {
		t.messages, t.high, t.loaded = r.Messages, r.Head, true
	} else {
		t.messages = slices.Concat(r.Messages, t.messages)
	}
	missed := t.missed
	t.missed = nil
	for _, e := range missed {
		t.apply(e, me)
	}
}

// apply takes the next event of the stream.
func (t *timeline) apply(e protocol.Event, me string) {
	if t.loading {
		t.missed = append(t.missed, e)
	}
	if !t.loaded {
		return
	}
	switch e.Name {
	case protocol.MessageCreated:
		if e.Seq > t.high {
			t.append(e)
		}
	case protocol.MessageEdited, protocol.MessageDeleted, protocol.ReactionAdded, protocol.ReactionRemoved:
		t.change(e, me)
	}
	t.high = max(t.high, e.Seq)
}

// skip notes what the stream left out.
func (t *timeline) skip(s protocol.SkippedData) {
	if t.loaded && s.To > t.high {
		t.skipped = append(t.skipped, s)
		t.high = s.To
	}
}

func (t *timeline) append(e protocol.Event) {
	d, err := client.Data[protocol.MessageCreatedData](e.Data)
	if err != nil {
		return
	}
	m := protocol.Message{
		Room: e.Room, Seq: e.Seq, Rev: e.Seq, N: d.N, ClientID: d.ClientID, Text: d.Text, Data: d.Data, Attachments: d.Attachments,
		ReplyTo: d.ReplyTo, Thread: d.Thread, Mentions: d.Mentions, At: e.At,
	}
	if e.User != "" {
		m.User = &e.User
	}
	if d.Deleted {
		m.DeletedAt = e.At
	}
	t.messages = append(t.messages, m)
}

// change carries out an event about a message that is held.
func (t *timeline) change(e protocol.Event, me string) {
	target, err := client.Data[protocol.MessageDeletedData](e.Data) // all have a target
	if err != nil {
		return
	}
	m := t.find(target.Target)
	if m == nil || e.Seq <= m.Rev {
		return
	}
	m.Rev = e.Seq
	switch e.Name {
	case protocol.MessageDeleted:
		m.Text, m.Data, m.Attachments, m.Reactions, m.DeletedAt = nil, nil, nil, nil, e.At
	case protocol.MessageEdited:
		if d, err := client.Data[protocol.MessageEditedData](e.Data); err == nil && m.DeletedAt == 0 && !d.Deleted {
			m.Text, m.Data, m.Attachments, m.EditedAt = d.Text, d.Data, d.Attachments, e.At
		}
	default:
		if d, err := client.Data[protocol.ReactionData](e.Data); err == nil {
			react(m, d.Emoji, e.Name == protocol.ReactionAdded, e.User == me)
		}
	}
}

// react counts a reaction up or down. Every event is a change: what was so already made none.
func react(m *protocol.Message, emoji string, added, mine bool) {
	reactions := slices.Clone(m.Reactions) // a page may be shared
	i := slices.IndexFunc(reactions, func(r protocol.Reaction) bool { return r.Emoji == emoji })
	switch {
	case i < 0 && added:
		reactions = append(reactions, protocol.Reaction{Emoji: emoji, Count: 1, Mine: mine})
	case i >= 0 && added:
		reactions[i].Count++
		reactions[i].Mine = reactions[i].Mine || mine
	case i >= 0 && reactions[i].Count <= 1:
		reactions = slices.Delete(reactions, i, i+1)
	case i >= 0:
		reactions[i].Count--
		reactions[i].Mine = reactions[i].Mine && !mine
	}
	m.Reactions = reactions
}

// find is the message at seq, nil if it is not held.
func (t *timeline) find(seq protocol.Seq) *protocol.Message {
	i := sort.Search(len(t.messages), func(i int) bool { return t.messages[i].Seq >= seq })
	if i < len(t.messages) && t.messages[i].Seq == seq {
		return &t.messages[i]
	}
	return nil
}

// has reports whether a message of the user with this client_id is held.
func (t *timeline) has(user, clientID string) bool {
	return slices.ContainsFunc(t.messages, func(m protocol.Message) bool { return m.ClientID == clientID && m.User != nil && *m.User == user })
}

// trim lets the oldest go when there are very many.
func (t *timeline) trim() {
	if len(t.messages) > mostMessages && !t.loading {
		t.messages = slices.Clone(t.messages[len(t.messages)-keptMessages:])
		t.complete = false
	}
}
