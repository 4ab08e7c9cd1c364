package terminal

import (
	"fmt"
	"strings"

	"github.com/parley-im/parley/protocol"
)

// command is one thing to do by its name.
type command struct {
	name string
	args string // as the help shows them
	help string
	room bool // it is about the room on screen
	run  func(m *Model, args string) []Effect
}

// allCommands are the commands, in the order of the help.
func allCommands() []command {
	return []command{
		{"new", "direct|group|channel …", "a room: direct NAME, group TITLE NAME…, channel TITLE", false, doNew},
		{"join", "CHANNEL", "join a channel by its name or id, or watch a live room by its id", false, doJoin},
		{"leave", "", "leave this room", true, doLeave},
		{"members", "", "who is in this room", true, doMembers},
		{"add", "NAME…", "add people to this room", true, doAdd},
		{"search", "WORDS", "find messages in all rooms", false, doSearch},
		{"reply", "TEXT", "reply to the selected or the last message", true, doReply},
		{"edit", "TEXT", "change your selected or last message", true, doEdit},
		{"delete", "", "delete the selected message, or your last", true, doDelete},
		{"react", "EMOJI", "react to the selected or the last message; again: take it back", true, doReact},
		{"topic", "TEXT", "say what this room is about", true, doTopic},
		{"mute", "", "be told nothing of this room; again: be told", true, doMute},
		{"presence", "online|away|invisible", "how others see you", false, doPresence},
		{"help", "", "this", false, func(m *Model, _ string) []Effect { doHelp(m); return nil }},
		{"quit", "", "end the program", false, func(m *Model, _ string) []Effect { return append(m.keepDraft(), Quit{}) }},
	}
}

// runCommand carries out what stands behind a slash.
func runCommand(m *Model, line string) []Effect {
	name, args, _ := strings.Cut(line, " ")
	for _, c := range allCommands() {
		if c.name != name {
			continue
		}
		if c.room && m.current() == nil {
			m.notice = "/" + name + " is about a room, and none is open"
			return nil
		}
		return c.run(m, strings.TrimSpace(args))
	}
	m.notice = fmt.Sprintf("there is no command /%s: /help lists them; // begins a message with a slash", CleanLine(name))
	return nil
}

// usage reminds of how a command is written.
func usage(m *Model, name string) []Effect {
	for _, c := range allCommands() {
		if c.name == name {
			m.notice = fmt.Sprintf("/%s %s: %s", c.name, c.args, c.help)
		}
	}
	return nil
}

func doHelp(m *Model) {
	var lines []string
	for _, c := range allCommands() {
		lines = append(lines, fmt.Sprintf("%s: %s", strings.TrimSpace("/"+c.name+" "+c.args), c.help))
	}
	lines = append(
		lines, "",
		"enter sends · alt+enter begins a line · tab completes commands and @names",
		"ctrl+n, ctrl+p: next and previous room · ctrl+l: the list, on a narrow screen",
		"pgup, pgdown: scroll · ctrl+g: to the latest · alt+up, alt+down: select a message",
		"ctrl+r: send again what was refused · esc: clear · ctrl+c: quit", "",
		"◌ waits · ✓ sent · ✓✓ delivered · ✔✔ read · ✗ refused",
	)
	m.overlay = &overlay{title: "help", lines: lines}
}

func doNew(m *Model, args string) []Effect {
	words := strings.Fields(args)
	if len(words) < 2 {
		return usage(m, "new")
	}
	p := protocol.RoomCreateParams{Kind: protocol.Kind(words[0]), ClientID: m.newID()}
	switch p.Kind {
	case protocol.Direct:
		p.Members = words[1:]
	case protocol.Group:
		p.Name, p.Members = words[1], words[2:]
	case protocol.Channel:
		p.Name = strings.Join(words[1:], " ")
	default:
		return usage(m, "new")
	}
	return m.goBy(Call{Method: protocol.RoomCreate, Params: p})
}

// visit goes to a room of which only the id is known.
func (m *Model) visit(id string) []Effect {
	return m.goBy(Call{Method: protocol.RoomGet, Params: protocol.RoomParams{Room: id}})
}

// goBy makes a call that leads to another room. Until it is answered nothing is sent, lest it go to the wrong room.
func (m *Model) goBy(c Call) []Effect {
	m.going = true
	return []Effect{c}
}

func doJoin(m *Model, args string) []Effect {
	switch {
	case args == "":
		return usage(m, "join")
	case strings.HasPrefix(args, "r_"):
		return m.visit(args)
	}
	return m.goBy(Call{Method: protocol.RoomBrowse, Params: protocol.RoomBrowseParams{Query: args}})
}

func doLeave(m *Model, _ string) []Effect {
	r := m.current()
	if r.info.Kind == protocol.Live && !r.member {
		return []Effect{Call{Method: protocol.RoomUnsubscribe, Params: protocol.RoomParams{Room: m.open}}}
	}
	return []Effect{Call{Method: protocol.RoomLeave, Params: protocol.RoomEventParams{Room: m.open, ClientID: m.newID()}}}
}

func doMembers(m *Model, _ string) []Effect {
	return []Effect{Call{Method: protocol.MemberList, Params: protocol.PageParams{Room: m.open}}}
}

func doAdd(m *Model, args string) []Effect {
	users := strings.Fields(args)
	if len(users) == 0 {
		return usage(m, "add")
	}
	return []Effect{Call{Method: protocol.MemberAdd, Params: protocol.MemberAddParams{Room: m.open, Users: users, ClientID: m.newID()}}}
}

func doSearch(m *Model, args string) []Effect {
	if args == "" {
		return usage(m, "search")
	}
	return []Effect{Call{Method: protocol.MessageSearch, Params: protocol.MessageSearchParams{Query: args}}}
}

// about is the message that a command is about; without one it says so.
func about(m *Model, own bool) *protocol.Message {
	target := m.current().target(m.me, own)
	if target == nil {
		m.notice = "there is no such message here: alt+up selects one"
	}
	return target
}

func doReply(m *Model, args string) []Effect {
	if args == "" {
		return usage(m, "reply")
	}
	if target := about(m, false); target != nil {
		return m.send(args, target.Seq)
	}
	return nil
}

func doEdit(m *Model, args string) []Effect {
	if args == "" {
		return usage(m, "edit")
	}
	target := about(m, true)
	if target == nil {
		return nil
	}
	return []Effect{Call{
		Method: protocol.MessageEdit,
		Params: protocol.MessageEditParams{Room: m.open, Seq: target.Seq, Text: protocol.Some(args), ClientID: m.newID()},
	}}
}

func doDelete(m *Model, _ string) []Effect {
	target := about(m, true)
	if target == nil {
		return nil
	}
	return []Effect{Call{Method: protocol.MessageDelete, Params: protocol.MessageParams{Room: m.open, Seq: target.Seq, ClientID: m.newID()}}}
}

func doReact(m *Model, args string) []Effect {
	if args == "" {
		return usage(m, "react")
	}
	target := about(m, false)
	if target == nil {
		return nil
	}
	method := protocol.ReactionAdd
	for _, r := range target.Reactions {
		if r.Emoji == args && r.Mine {
			method = protocol.ReactionRemove
		}
	}
	return []Effect{Call{Method: method, Params: protocol.ReactionParams{Room: m.open, Seq: target.Seq, Emoji: args, ClientID: m.newID()}}}
}

func doTopic(m *Model, args string) []Effect {
	return []Effect{Call{
		Method: protocol.RoomUpdate,
		Params: protocol.RoomUpdateParams{Room: m.open, Topic: protocol.Some(args), ClientID: m.newID()},
	}}
}

func doMute(m *Model, _ string) []Effect {
	notify := protocol.NotifyNone
	if m.current().me.Notify == protocol.NotifyNone {
		notify = protocol.NotifyAll
	}
	return []Effect{Call{Method: protocol.MemberSettings, Params: protocol.MemberSettingsParams{Room: m.open, Notify: notify}}}
}

func doPresence(m *Model, args string) []Effect {
	status := protocol.Status(args)
	if status != protocol.StatusOnline && status != protocol.StatusAway && status != protocol.StatusInvisible {
		return usage(m, "presence")
	}
	return []Effect{Call{Method: protocol.PresenceSet, Params: protocol.PresenceSetParams{Status: status}}}
}
