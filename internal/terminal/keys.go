package terminal

import (
	"strings"
	"time"

	"github.com/parley-im/parley/protocol"
)

const (
	// typingAgain is how often the others are told that one is still typing; the server forgets it after 5 s.
	typingAgain = 3 * time.Second
	pageStep    = 10 // the least lines of a page
)

func (m *Model) key(k Key) []Effect {
	if k.Name == "ctrl+c" {
		return append(m.keepDraft(), Quit{})
	}
	if m.overlay != nil {
		m.overlayKey(k)
		return nil
	}
	switch k.Name {
	case "enter":
		return m.enter()
	case "esc":
		m.notice, m.going = "", false
		if r := m.current(); r != nil {
			r.selected, r.anchor = 0, anchor{}
		}
	case "tab":
		m.complete()
	case "f1":
		doHelp(m)
	case "ctrl+n", "alt+n":
		return m.step(1)
	case "ctrl+p", "alt+p":
		return m.step(-1)
	case "ctrl+l":
		m.list = !m.list
	case "ctrl+r":
		return m.retry()
	case "ctrl+g":
		m.latest()
	case "pgup":
		return m.scroll(-max(layout{m}.conversationHeight()-1, 1))
	case "pgdown":
		return m.scroll(max(layout{m}.conversationHeight()-1, 1))
	case "alt+up", "alt+down":
		return m.selectMessage(k.Name == "alt+up")
	default:
		return m.write(k)
	}
	return nil
}

// write edits the text, and tells the others about it.
func (m *Model) write(k Key) []Effect {
	r := m.current()
	if r == nil && k.Text != "" && m.editor.text() == "" && k.Text != "/" {
		m.notice = "there is no room yet: /new direct NAME begins one, /help tells more"
		return nil
	}
	if !m.editor.key(k) || r == nil {
		return nil
	}
	if !r.member || r.info.Kind == protocol.Live || strings.HasPrefix(m.editor.text(), "/") {
		return nil
	}
	params := protocol.RoomParams{Room: r.info.ID}
	switch {
	case m.editor.text() == "":
		return m.stopTyping()
	case m.now.Sub(m.typed) >= typingAgain:
		m.typed = m.now
		return []Effect{Call{Method: protocol.TypingStart, Params: params, Silent: true}}
	}
	return nil
}

// stopTyping tells the others, if they were told of the beginning.
func (m *Model) stopTyping() []Effect {
	if m.typed.IsZero() || m.open == "" {
		return nil
	}
	m.typed = time.Time{}
	return []Effect{Call{Method: protocol.TypingStop, Params: protocol.RoomParams{Room: m.open}, Silent: true}}
}

// enter sends what was written, or carries it out.
func (m *Model) enter() []Effect {
	text := m.editor.text()
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if m.going {
		m.notice = "on the way to another room: enter again when it is there, esc stays here"
		return nil
	}
	m.notice = ""
	if command, ok := strings.CutPrefix(text, "/"); ok && !strings.HasPrefix(command, "/") {
		m.editor.set("")
		return append(runCommand(m, command), m.keepDraft()...)
	}
	return m.send(strings.TrimPrefix(text, "/"), 0) // two slashes begin a message with one
}

// send says something in the room on screen.
func (m *Model) send(text string, replyTo protocol.Seq) []Effect {
	r := m.current()
	if r == nil {
		m.notice = "there is no room to say that in"
		return nil
	}
	if len(text) > protocol.MaxTextBytes {
		m.notice = "this is longer than a message may be"
		return nil
	}
	message := protocol.MessageSendParams{Room: m.open, ClientID: m.newID(), Text: text, ReplyTo: replyTo, Mentions: r.mentioned(text)}
	r.outgoing = append(r.outgoing, outgoing{message: message, at: m.now})
	r.anchor, r.selected, r.newFrom = anchor{}, 0, 0
	r.active = max(r.active, protocol.At(m.now))
	m.typed = time.Time{} // the message ends the typing
	m.editor.set("")
	return append(m.keepDraft(), Send{Message: message})
}

// retry sends again what was refused.
func (m *Model) retry() []Effect {
	var do []Effect
	if r := m.current(); r != nil {
		for i := range r.outgoing {
			if r.outgoing[i].err != nil {
				r.outgoing[i].err = nil
				do = append(do, Send{Message: r.outgoing[i].message})
			}
		}
	}
	m.notice = ""
	return do
}

// step shows the next or the last room of the list.
func (m *Model) step(by int) []Effect {
	all := m.order()
	for i, r := range all {
		if r.info.ID == m.open {
			return append(m.stopTyping(), m.show(all[(i+by+len(all))%len(all)].info.ID)...)
		}
	}
	return nil
}

// latest goes to the end of the conversation.
func (m *Model) latest() {
	if r := m.current(); r != nil {
		r.anchor, r.selected = anchor{}, 0
	}
}

// scroll moves the conversation by lines, and loads what comes before its beginning.
func (m *Model) scroll(by int) []Effect {
	r := m.current()
	if r == nil {
		return nil
	}
	lines, height := layout{m}.conversation(r), layout{m}.conversationHeight()
	bottom := min(max(r.bottom(lines)+by, min(height, len(lines))), len(lines))
	r.anchor = anchor{}
	if bottom < len(lines) && bottom > 0 {
		r.anchor = lines[bottom-1].at
	}
	if bottom-height < pageStep {
		return m.load(r)
	}
	return nil
}

// selectMessage moves the selection, and keeps it on screen.
func (m *Model) selectMessage(up bool) []Effect {
	r := m.current()
	if r == nil {
		return nil
	}
	r.choose(up)
	if r.selected == 0 {
		return nil
	}
	lines, height := layout{m}.conversation(r), layout{m}.conversationHeight()
	first, last := len(lines), 0
	for i, line := range lines {
		if line.at.item == itemID(r.selected) {
			first, last = min(first, i), i
		}
	}
	switch bottom := r.bottom(lines); {
	case first < bottom-height:
		r.anchor = lines[min(max(first+height, 1), len(lines))-1].at
	case last >= bottom:
		r.anchor = lines[last].at
	}
	if first < height {
		return m.load(r)
	}
	return nil
}

// complete completes the name of a command, or of somebody behind an @.
func (m *Model) complete() {
	text := m.editor.text()
	if begun, ok := strings.CutPrefix(text, "/"); ok && !strings.ContainsAny(begun, " \n") {
		for _, c := range allCommands() {
			if strings.HasPrefix(c.name, begun) {
				m.editor.set("/" + c.name + " ")
				return
			}
		}
		return
	}
	r := m.current()
	at := strings.LastIndexByte(text, '@')
	if r == nil || at < 0 || strings.ContainsAny(text[at:], " \n") {
		return
	}
	best := ""
	for user := range r.people() {
		if user != m.me && strings.HasPrefix(user, text[at+1:]) && (best == "" || user < best) {
			best = user
		}
	}
	if best != "" {
		m.editor.set(text[:at+1] + best + " ")
	}
}

// overlayKey scrolls an overlay; any other key closes it.
func (m *Model) overlayKey(k Key) {
	height := layout{m}.overlayHeight()
	last := max(len(layout{m}.overlayRows())-height, 0)
	switch k.Name {
	case "up":
		m.overlay.top = max(m.overlay.top-1, 0)
	case "down":
		m.overlay.top = min(m.overlay.top+1, last)
	case "pgup":
		m.overlay.top = max(m.overlay.top-height, 0)
	case "pgdown":
		m.overlay.top = min(m.overlay.top+height, last)
	default:
		m.overlay = nil
	}
}
