package terminal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

const (
	// From wideEnough columns on, the list of rooms stands beside the conversation.
	wideEnough = 64
	listWidth  = 22
	// mostEditorRows is how many rows of what is being written are shown at most.
	mostEditorRows = 5
)

// Screen is what a terminal is to show: exactly as many lines as it has, none wider than it is.
type Screen struct {
	Text             string
	CursorX, CursorY int
	Title            string // of the window
}

// layout is where things stand on the screen of a model.
type layout struct{ *Model }

func (m layout) wide() bool { return m.width >= wideEnough }

func (m layout) conversationWidth() int {
	if m.wide() {
		return m.width - listWidth - 1
	}
	return max(m.width, 1)
}

// editorRows are the rows of the editor that are shown, and where the cursor is in them.
func (m layout) editorRows() (rows []string, x, y int) {
	rows, x, y = m.editor.rows(max(m.conversationWidth()-3, 1))
	first := min(max(y-mostEditorRows+1, 0), max(len(rows)-mostEditorRows, 0))
	return rows[first:min(first+mostEditorRows, len(rows))], x, y - first
}

// conversationHeight is how many lines of a conversation are shown: all but the head, the line of who is typing, the editor and the state.
func (m layout) conversationHeight() int {
	rows, _, _ := m.editorRows()
	return max(m.height-len(rows)-3, 1)
}

// overlayRows are the lines of the overlay as they fit.
func (m layout) overlayRows() []string {
	var rows []string
	for _, text := range m.overlay.lines {
		rows = append(rows, strings.Split(ansi.Wrap(text, m.conversationWidth(), ""), "\n")...)
	}
	return rows
}

func (m layout) overlayHeight() int { return max(m.conversationHeight()-1, 1) }

// View draws the model.
func (m *Model) View() Screen {
	v := view{m: layout{m}, theme: newTheme()}
	s := Screen{Title: "parley"}
	if unread := v.unread(); unread > 0 {
		s.Title = fmt.Sprintf("(%d) parley", unread)
	}
	rows, x, y := v.m.editorRows()
	right := v.right(rows)
	lines := right
	switch {
	case v.m.wide():
		left := v.list(len(right))
		lines = nil
		for i, l := range right {
			lines = append(lines, fit(left[i], listWidth)+v.theme.faint.Render("│")+l)
		}
		x += listWidth + 1
	case m.list:
		lines = v.list(len(right))
	}
	lines = append(lines, v.state())
	lines = lines[max(len(lines)-m.height, 0):]
	for i := range lines {
		lines[i] = fit(lines[i], m.width)
	}
	s.Text = strings.Join(lines, "\n")
	s.CursorX, s.CursorY = min(x+2, m.width-1), max(len(lines)-1-len(rows)+y, 0)
	return s
}

// unread counts what is unread in rooms that are not muted.
func (v view) unread() (n uint64) {
	for _, r := range v.m.rooms {
		if r.me.Notify != protocol.NotifyNone {
			n += r.unread
		}
	}
	return n
}

// fit makes a line exactly as wide as it must be.
func fit(text string, width int) string {
	text = ansi.Truncate(text, width, "…")
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

// dot is how somebody is seen, with a space behind it; nothing where it is not known.
func (m *Model) dot(user string) string {
	switch m.presence[user] {
	case protocol.StatusOnline:
		return "● "
	case protocol.StatusAway:
		return "◐ "
	case protocol.StatusOffline:
		return "○ "
	}
	return ""
}

// view draws the parts of the screen.
type view struct {
	m     layout
	theme theme
}

// right is everything beside the list but the last line: m.height-1 lines.
func (v view) right(editor []string) []string {
	r := v.m.current()
	height := v.m.conversationHeight()
	lines := []string{v.head(r)}
	body := v.body(r, height)
	lines = append(lines, body...)
	lines = append(lines, slices.Repeat([]string{""}, max(height-len(body), 0))...)
	lines = append(lines, v.typing(r))
	for i, row := range editor {
		prompt := "> "
		if i > 0 {
			prompt = "  "
		}
		lines = append(lines, v.theme.accent.Render(prompt)+row)
	}
	return lines
}

func (v view) head(r *room) string {
	if r == nil {
		return v.theme.bold.Render("parley")
	}
	head := v.m.dot(r.peer) + r.title()
	rest := ""
	if r.info.Topic != "" {
		rest += " · " + CleanLine(r.info.Topic)
	}
	if r.info.Kind == protocol.Live {
		rest += " · live"
	}
	if r.watching > 0 {
		rest += fmt.Sprintf(" · %d watching", r.watching)
	}
	if r.me.Notify == protocol.NotifyNone {
		rest += " · muted"
	}
	return v.theme.bold.Render(head) + v.theme.faint.Render(ansi.Truncate(rest, max(v.m.conversationWidth()-ansi.StringWidth(head), 0), "…"))
}

// body is an overlay, the conversation, or what to do first.
func (v view) body(r *room, height int) []string {
	switch {
	case v.m.overlay != nil:
		o := v.m.overlay
		body := []string{v.theme.accent.Render(ansi.Truncate("── "+o.title+" ── ↑↓ scroll, any other key closes", v.m.conversationWidth(), "…"))}
		rows := v.m.overlayRows()
		top := min(o.top, max(len(rows)-height+1, 0))
		return append(body, rows[top:min(top+height-1, len(rows))]...)
	case r == nil:
		return []string{"", "  There is no room yet.", "", "  /new direct NAME   talks to somebody", "  /join CHANNEL      joins a channel", "  /help              tells the rest"}
	}
	lines := v.m.conversation(r)
	bottom := max(r.bottom(lines), min(height, len(lines)))
	var body []string
	for _, l := range lines[max(bottom-height, 0):bottom] {
		body = append(body, l.text)
	}
	if below := len(lines) - bottom; below > 0 {
		body[len(body)-1] = v.theme.accent.Render(fmt.Sprintf("  ↓ %d more lines: ctrl+g goes to the latest", below))
	}
	return slices.Concat(slices.Repeat([]string{""}, max(height-len(body), 0)), body)
}

func (v view) typing(r *room) string {
	if r == nil || len(r.typing) == 0 {
		return ""
	}
	var users []string
	for user := range r.typing {
		users = append(users, author(user))
	}
	slices.Sort(users)
	verb := " is typing …"
	if len(users) > 1 {
		verb = " are typing …"
	}
	if len(users) > 3 {
		users = append(users[:3], fmt.Sprintf("%d more", len(users)-3))
	}
	return v.theme.faint.Render(ansi.Truncate("  "+strings.Join(users, ", ")+verb, v.m.conversationWidth(), "…"))
}

// list is the list of rooms.
func (v view) list(height int) []string {
	width := listWidth
	if !v.m.wide() {
		width = v.m.width
	}
	lines := []string{v.theme.bold.Render("rooms")}
	all := v.m.order()
	at := slices.IndexFunc(all, func(r *room) bool { return r.info.ID == v.m.open })
	first := max(at-height+2, 0)
	for i := first; i < len(all) && len(lines) < height; i++ {
		lines = append(lines, v.entry(all[i], width))
	}
	return append(lines, slices.Repeat([]string{""}, max(height-len(lines), 0))...)
}

// entry is one room of the list: who or what, and what is unread.
func (v view) entry(r *room, width int) string {
	count := ""
	switch {
	case r.mentions > 0:
		count = fmt.Sprintf("@%d %d", r.mentions, r.unread)
	case r.unread > 0:
		count = fmt.Sprint(r.unread)
	case len(r.outgoing) > 0:
		count = tickPending.sign()
	}
	sign := map[protocol.Kind]string{protocol.Channel: "#", protocol.Live: "~"}[r.info.Kind]
	margin := "  "
	if r.info.ID == v.m.open {
		margin = "> "
	}
	name := fit(margin+v.m.dot(r.peer)+sign+r.title(), max(width-ansi.StringWidth(count)-1, 1))
	switch {
	case r.info.ID == v.m.open:
		return v.theme.accent.Render(name + count)
	case r.unread > 0 && r.me.Notify != protocol.NotifyNone:
		return v.theme.bold.Render(name + count)
	}
	return name + count
}

// state is the last line: a word for the person, or what the connection does.
func (v view) state() string {
	m := v.m
	connection := CleanLine(m.me)
	switch s := m.connection; s.Phase {
	case client.Live:
		connection += " · online"
	case client.Connecting:
		connection += " · connecting …"
	case client.Waiting:
		connection += " · offline (" + CleanLine(string(s.Reason)) + "): what you write is kept and sent later"
	case client.Stopped:
		connection += " · stopped: " + CleanLine(string(s.Reason))
		if s.Err != nil {
			connection += ": " + CleanLine(s.Err.Error())
		}
	}
	switch {
	case m.notice != "" && m.connection.Phase != client.Live:
		return v.theme.warn.Render(ansi.Truncate("! "+m.notice+" · "+connection, m.width, "…"))
	case m.notice != "":
		return v.theme.warn.Render(ansi.Truncate("! "+m.notice, m.width, "…"))
	case m.connection.Phase == client.Live:
		return v.theme.faint.Render(ansi.Truncate(connection+" · /help", m.width, "…"))
	}
	return v.theme.warn.Render(ansi.Truncate(connection, m.width, "…"))
}
