package terminal

import (
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// room is what is known of one room.
type room struct {
	info   protocol.Room
	head   protocol.Seq
	active protocol.Time // of the last message, or the room itself
	member bool
	me     protocol.Me
	peer   string // the other one of a direct room, once known
	asked  bool   // what it is was asked for

	counted  protocol.Seq // unread and mentions count the events up to here
	unread   uint64
	mentions uint64
	newFrom  protocol.Seq // what is above it was unread when the room was opened
	lastRead protocol.Seq // what was reported

	timeline timeline
	anchor   anchor       // what stands at the bottom of the screen
	selected protocol.Seq // the message that commands are about; 0: none
	outgoing []outgoing
	draft    string

	cursors  map[string]protocol.Cursors // of all members; nil while unknown
	current  bool                        // the cursors were asked for on this session
	typing   map[string]time.Time        // until when
	watching uint64                      // sessions in a live room, as the server says
}

// outgoing is an own message that is not in the timeline yet.
type outgoing struct {
	message protocol.MessageSendParams
	at      time.Time
	seq     protocol.Seq // stored as, 0: not yet
	err     error        // refused
}

// anchor is a line of the conversation: a part of an item. The zero anchor is the end, whatever comes.
type anchor struct {
	item itemID
	part int
}

// title is what the room is called.
func (r *room) title() string {
	switch {
	case r.info.Name != "":
		return CleanLine(r.info.Name)
	case r.peer != "":
		return CleanLine(r.peer)
	}
	return CleanLine(r.info.ID)
}

// list takes the room's entry of the inbox.
func (r *room) list(e protocol.InboxEntry) {
	r.info, r.member, r.me = e.Room, true, e.Me
	r.head = max(r.head, e.Head)
	r.active = max(r.active, e.Room.CreatedAt)
	if e.LastMessage != nil {
		r.active = max(r.active, e.LastMessage.At)
	}
	r.count(e.Head, e.Me)
}

// know asks what the room is of which only events have come: a direct room that was hidden comes back so.
func (r *room) know() []Effect {
	if r.info.Kind != "" || r.asked {
		return nil
	}
	r.asked = true
	return []Effect{Call{Method: protocol.RoomGet, Params: protocol.RoomParams{Room: r.info.ID}, Silent: true}}
}

// count takes what the server has counted at a head.
func (r *room) count(head protocol.Seq, me protocol.Me) {
	r.me = me
	if head >= r.counted {
		r.counted, r.unread, r.mentions = head, me.Unread, me.Mentions
	}
	r.lastRead = max(r.lastRead, me.Read)
}

// event takes the next event of the room.
func (r *room) event(e protocol.Event, me string) {
	r.head = max(r.head, e.Seq)
	r.timeline.apply(e, me)
	switch e.Name {
	case protocol.MessageCreated:
		r.active = max(r.active, e.At)
		r.created(e, me)
	case protocol.RoomUpdated:
		r.updated(e)
	case protocol.MemberJoined:
		if d, err := client.Data[protocol.MemberJoinedData](e.Data); err == nil && r.cursors != nil {
			for _, user := range d.Users {
				r.moved(protocol.Cursors{User: user, Delivered: e.Seq, Read: e.Seq})
			}
		}
	case protocol.MemberLeft:
		if d, err := client.Data[protocol.MemberLeftData](e.Data); err == nil {
			for _, user := range d.Users {
				delete(r.cursors, user)
			}
		}
	}
}

func (r *room) created(e protocol.Event, me string) {
	d, err := client.Data[protocol.MessageCreatedData](e.Data)
	if err != nil {
		return
	}
	delete(r.typing, e.User)
	own := e.User == me
	if own {
		r.outgoing = slices.DeleteFunc(r.outgoing, func(o outgoing) bool { return o.message.ClientID == d.ClientID })
	}
	if e.Seq <= r.counted {
		return
	}
	r.counted = e.Seq
	switch {
	case own:
		r.unread, r.mentions = 0, 0
	default:
		r.unread++
		if slices.Contains(d.Mentions, me) {
			r.mentions++
		}
	}
}

func (r *room) updated(e protocol.Event) {
	d, err := client.Data[protocol.RoomUpdatedData](e.Data)
	if err != nil {
		return
	}
	if d.Name != nil {
		r.info.Name = *d.Name
	}
	if d.Topic != nil {
		r.info.Topic = *d.Topic
	}
	if d.Settings != nil {
		r.info.Settings = *d.Settings
	}
}

// listed takes the cursors of all members, and tells who they are.
func (r *room) listed(members []protocol.Cursors) (users []string) {
	known := r.cursors
	r.cursors = make(map[string]protocol.Cursors, len(members))
	for _, c := range members {
		r.moved(c)
		if signalled, ok := known[c.User]; ok { // since the list was read, perhaps
			r.moved(signalled)
		}
		users = append(users, c.User)
	}
	return users
}

// moved takes where a member's cursors stand. They never go back.
func (r *room) moved(c protocol.Cursors) {
	if r.cursors == nil {
		return
	}
	old := r.cursors[c.User]
	r.cursors[c.User] = protocol.Cursors{User: c.User, Delivered: max(old.Delivered, c.Delivered), Read: max(old.Read, c.Read)}
}

// tick is how far an own message has got.
type tick int

const (
	tickFailed tick = iota
	tickPending
	tickSent
	tickDelivered
	tickRead
)

// tick is that of a stored message: as far as all the others have got. Where their cursors are not known, it is sent.
func (r *room) tick(seq protocol.Seq, me string) tick {
	if len(r.cursors) < 2 || !r.info.Settings.Receipts {
		return tickSent
	}
	all := tickRead
	for user, c := range r.cursors {
		switch {
		case user == me || c.Read >= seq:
		case c.Delivered >= seq:
			all = min(all, tickDelivered)
		default:
			return tickSent
		}
	}
	return all
}

// people are the users known to be in the room, for mentions.
func (r *room) people() map[string]bool {
	known := map[string]bool{}
	for user := range r.cursors {
		known[user] = true
	}
	if r.peer != "" {
		known[r.peer] = true
	}
	return known
}

// mentioned are the people of the room whose names stand behind an @.
func (r *room) mentioned(text string) []string {
	people := r.people()
	var found []string
	for word := range strings.FieldsSeq(text) {
		name, ok := strings.CutPrefix(strings.TrimLeft(word, `("'`), "@")
		for ok && name != "" && !people[name] && strings.ContainsRune(".,:;!?)\"'", rune(name[len(name)-1])) {
			name = name[:len(name)-1]
		}
		if ok && people[name] && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found[:min(len(found), protocol.MaxMentions)]
}

// target is the message that a command is about: the selected one, or else the newest (of the user's own, if own).
func (r *room) target(me string, own bool) *protocol.Message {
	if r.selected != 0 {
		return r.timeline.find(r.selected)
	}
	for i := len(r.timeline.messages) - 1; i >= 0; i-- {
		m := &r.timeline.messages[i]
		mine := m.User != nil && *m.User == me
		if m.DeletedAt == 0 && mine == own {
			return m
		}
	}
	return nil
}

// choose moves the selection by one message, up or down; below the newest there is none.
func (r *room) choose(up bool) {
	all := r.timeline.messages
	i := slices.IndexFunc(all, func(m protocol.Message) bool { return m.Seq == r.selected })
	switch {
	case i < 0 && up:
		i = len(all) - 1
	case up:
		i = max(i-1, 0)
	case i >= 0:
		i++
	}
	if i < 0 || i >= len(all) {
		r.selected, r.anchor = 0, anchor{}
		return
	}
	r.selected = all[i].Seq
}
