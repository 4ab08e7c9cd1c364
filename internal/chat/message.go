package chat

import (
	"bytes"

	"github.com/parley-im/parley/protocol"
)

// sendMessage decides message.send.
func (d *decision) sendMessage(p *protocol.MessageSendParams) (*Effects, *protocol.Error) {
	if err := d.mayPost(); err != nil {
		return nil, err
	}
	thread := protocol.Seq(0)
	if p.ReplyTo != 0 {
		target, err := d.target(p.ReplyTo, "reply_to")
		if err != nil {
			return nil, err
		}
		if thread = target.Thread; thread == 0 {
			thread = target.Seq
		}
	}
	if err := d.withinRate(); err != nil {
		return nil, err
	}
	m := &Message{
		Seq:      d.Head.Seq + 1,
		N:        d.Head.N + 1,
		User:     d.call.Actor.User,
		ClientID: p.ClientID,
		At:       d.now,
		ReplyTo:  p.ReplyTo,
		Thread:   thread,
		Mentions: protocol.Distinct(p.Mentions),
		Content:  newContent(p.Text, p.Data, p.Attachments),
		Rev:      d.Head.Seq + 1,
	}
	e, err := d.event(protocol.MessageCreated, protocol.MessageCreatedData{
		ClientID: m.ClientID, N: m.N, Text: m.Content.Text, Data: m.Content.Data, Attachments: m.Content.Attachments,
		ReplyTo: m.ReplyTo, Thread: m.Thread, Mentions: m.Mentions,
	})
	if err != nil {
		return nil, err
	}
	e.Event.N, e.Event.Thread = m.N, thread
	e.Head.N, e.Head.Last = m.N, m.Seq
	e.Created = m
	if root := d.Messages[thread]; root != nil {
		replied := *root
		replied.Replies++
		replied.Rev = m.Seq
		e.Message = &replied
	}
	e.Mentioned = d.mentioned(m.Mentions)
	e.Members = d.sent(m.N)
	e.Answer = protocol.MessageSendResult{Room: d.call.Room, Seq: m.Seq, N: m.N, At: m.At}
	return e, nil
}

// editMessage decides message.edit.
func (d *decision) editMessage(p *protocol.MessageEditParams) (*Effects, *protocol.Error) {
	if err := d.mayWrite(); err != nil {
		return nil, err
	}
	target, err := d.target(p.Seq, "seq")
	if err != nil {
		return nil, err
	}
	if target.User != d.call.Actor.User {
		return nil, protocol.Errorf(protocol.Forbidden, "", "Only its author edits a message.")
	}
	content := target.Content.edited(p)
	if content.empty() {
		return nil, protocol.Errorf(protocol.BadRequest, "text", "This edit leaves nothing of the message: delete it with message.delete.")
	}
	if content.equal(target.Content) {
		return alreadySince(d.Head.Seq)
	}
	e, err := d.event(protocol.MessageEdited, protocol.MessageEditedData{
		Target: p.Seq, Text: content.Text, Data: content.Data, Attachments: content.Attachments,
	})
	if err != nil {
		return nil, err
	}
	edited := *target
	edited.Content, edited.EditedAt, edited.Rev = content, d.now, e.Event.Seq
	e.Event.Target, e.Message = p.Seq, &edited
	return e, nil
}

// deleteMessage decides message.delete. One who is muted may still take back what they said.
func (d *decision) deleteMessage(p *protocol.MessageParams) (*Effects, *protocol.Error) {
	moderates := d.rank() >= protocol.RoleModerator.Rank() // in a direct room both are owners
	if !moderates && !d.takesPart() {
		return nil, membersOnly()
	}
	target := d.message(p.Seq)
	if target == nil {
		return nil, noMessage("seq")
	}
	if !moderates && target.User != d.call.Actor.User {
		return nil, protocol.Errorf(protocol.Forbidden, "", "Only its author or a moderator deletes a message.")
	}
	if target.DeletedAt != 0 {
		return alreadySince(d.Head.Seq)
	}
	e, err := d.event(protocol.MessageDeleted, protocol.MessageDeletedData{Target: p.Seq})
	if err != nil {
		return nil, err
	}
	deleted := *target
	deleted.Content, deleted.DeletedAt, deleted.Rev = Content{}, d.now, e.Event.Seq // the store still has to find whom it mentioned
	e.Event.Target, e.Message, e.Redact = p.Seq, &deleted, p.Seq
	return e, nil
}

// takesPart reports whether the actor is one who writes here: a member, or anyone who watches a live room.
func (d *decision) takesPart() bool {
	return d.me.current() || d.call.Actor.Erasing || d.Room.Kind == protocol.Live && d.call.Actor.User != ""
}

// mayWrite refuses one who may not write to the room.
func (d *decision) mayWrite() *protocol.Error {
	if !d.takesPart() {
		return membersOnly()
	}
	if d.me.current() && d.me.MutedUntil > d.now && !d.call.Actor.Erasing {
		return protocol.Errorf(protocol.Forbidden, "", "You are muted in this room until %s.", d.me.MutedUntil)
	}
	return nil
}

// mayPost refuses one who may not send messages to the room.
func (d *decision) mayPost() *protocol.Error {
	if err := d.mayWrite(); err != nil {
		return err
	}
	if d.Room.Settings.Post == protocol.PostModerators && d.rank() < protocol.RoleModerator.Rank() {
		return protocol.Errorf(protocol.Forbidden, "", "Only moderators may post in this room.")
	}
	return nil
}

// slowed reports whether slow mode is on for the actor. It is a limit on users, which a back end that speaks for one is not under (§3).
func (d *decision) slowed() bool {
	return d.Room.Settings.SlowModeS > 0 && !d.call.Actor.Backend && d.rank() < protocol.RoleModerator.Rank()
}

// withinRate is the last check of a message: slow mode, then the rates.
func (d *decision) withinRate() *protocol.Error {
	if d.slowed() && d.me != nil && d.me.SentAt != 0 {
		if wait := int64(d.me.SentAt-d.now) + d.Room.Settings.SlowModeS*1000; wait > 0 {
			return &protocol.Error{
				Code: protocol.RateLimited, Scope: protocol.ScopeSlowMode, RetryAfterMS: wait,
				Message: "This room is in slow mode: wait before you send again.",
			}
		}
	}
	return d.rates.Take(d.now, d.call.Actor, d.call.Room)
}

// sent is the sender's row after message n. Of those who only watch a live room it is kept for slow mode alone.
func (d *decision) sent(n uint64) []*Member {
	if !d.me.current() && !d.slowed() {
		return nil
	}
	row := d.row(d.call.Actor.User)
	row.SentN, row.SentAt = n, d.now
	return []*Member{row}
}

// mentioned are those named who are told: members other than the sender, where there is unread at all.
func (d *decision) mentioned(users []string) []string {
	if d.Room.Kind == protocol.Live {
		return nil
	}
	var told []string
	for _, user := range users {
		if user != d.call.Actor.User && d.Members[user].current() {
			told = append(told, user)
		}
	}
	return told
}

// message is a message that the actor may see, deleted or not; nil if there is none.
func (d *decision) message(seq protocol.Seq) *Message {
	if seq < from(d.Room, d.me) && !d.call.Actor.Erasing {
		return nil
	}
	return d.Messages[seq]
}

// target is a message that the actor may see and that is not deleted.
func (d *decision) target(seq protocol.Seq, field string) (*Message, *protocol.Error) {
	m := d.message(seq)
	if m == nil || m.DeletedAt != 0 {
		return nil, noMessage(field)
	}
	return m, nil
}

func noMessage(field string) *protocol.Error {
	return protocol.Errorf(protocol.NotFound, field, "There is no such message in this room, or you may not see it, or it was deleted.")
}

func newContent(text string, data, attachments protocol.Raw) Content {
	var c Content
	if text != "" {
		c.Text = &text
	}
	if len(data) != 0 && data.Kind() != 'n' {
		c.Data = protocol.Compact(data)
	}
	if !protocol.Blank(attachments) {
		c.Attachments = protocol.Compact(attachments)
	}
	return c
}

// edited is the content with the edit merged into it: absent = unchanged, null = removed.
func (c Content) edited(p *protocol.MessageEditParams) Content {
	after := newContent(p.Text.Value, p.Data.Value, p.Attachments.Value)
	if !p.Text.Set {
		after.Text = c.Text
	}
	if !p.Data.Set {
		after.Data = c.Data
	}
	if !p.Attachments.Set {
		after.Attachments = c.Attachments
	}
	return after
}

func (c Content) empty() bool {
	return c.Text == nil && protocol.Blank(c.Data) && protocol.Blank(c.Attachments)
}

func (c Content) equal(other Content) bool {
	sameText := c.Text == other.Text || c.Text != nil && other.Text != nil && *c.Text == *other.Text
	return sameText && bytes.Equal(c.Data, other.Data) && bytes.Equal(c.Attachments, other.Attachments)
}

// RedactedCreated is what is left of the data of a message.created event when its message is deleted (§4.3): its place in the room, no content.
func RedactedCreated(m *Message) protocol.Raw {
	raw, _ := encode(protocol.MessageCreatedData{ClientID: m.ClientID, N: m.N, ReplyTo: m.ReplyTo, Thread: m.Thread, Deleted: true}) // numbers and ASCII encode
	return raw
}

// RedactedEdited is what is left of the data of a message.edited event when its message is deleted.
func RedactedEdited(target protocol.Seq) protocol.Raw {
	raw, _ := encode(protocol.MessageEditedData{Target: target, Deleted: true}) // numbers encode
	return raw
}
