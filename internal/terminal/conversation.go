package terminal

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/parley-im/parley/protocol"
)

// itemID names an item of a conversation: a message by its seq, and above firstOutgoing those that have none yet.
type itemID uint64

const firstOutgoing itemID = 1 << 60

// line is one line of a conversation.
type line struct {
	at   anchor
	text string // styled, at most as wide as the conversation
}

// item is a message, stored or on its way, as it is to be drawn.
type item struct {
	id       itemID
	user     string
	at       time.Time
	text     string // clean
	reply    protocol.Seq
	notes    []string // below the text
	edited   bool
	selected bool
	mark     string // how far an own message has got
}

// groupTime is how long an author's messages stand below one name.
const groupTime = 5 * time.Minute

// conversation are the lines of a room, oldest first.
func (m layout) conversation(r *room) []line {
	d := drawing{m: m.Model, r: r, width: m.conversationWidth(), theme: newTheme()}
	switch {
	case !r.timeline.loaded && m.connection.Hello == nil && !r.timeline.loading:
		d.rule(0, "no connection yet")
	case !r.timeline.loaded || r.timeline.loading:
		d.rule(0, "loading …")
	case r.timeline.complete:
		d.rule(0, "the beginning of "+r.title())
	default:
		d.rule(0, "pgup shows more")
	}
	skipped := r.timeline.skipped
	for i := range r.timeline.messages {
		msg := &r.timeline.messages[i]
		for len(skipped) > 0 && skipped[0].To < msg.Seq {
			d.rule(itemID(skipped[0].From), fmt.Sprintf("%d events were left out: too much at once", skipped[0].To-skipped[0].From+1))
			skipped = skipped[1:]
		}
		d.item(d.stored(msg))
	}
	for i, o := range r.outgoing {
		d.item(d.waiting(firstOutgoing+itemID(i), o))
	}
	return d.lines
}

// bottom is how many of the lines stand above the end of the screen.
func (r *room) bottom(lines []line) int {
	if r.anchor == (anchor{}) {
		return len(lines)
	}
	found := len(lines)
	for i, l := range lines {
		if l.at.item == r.anchor.item {
			found = i + 1
			if l.at.part >= r.anchor.part {
				break
			}
		}
	}
	return found
}

// drawing makes the lines of a conversation.
type drawing struct {
	m     *Model
	r     *room
	width int
	theme theme

	lines  []line
	day    string
	author string
	at     time.Time
	unread bool // the line above the unread was drawn
}

// stored is a message of the timeline as an item.
func (d *drawing) stored(msg *protocol.Message) item {
	it := item{
		id: itemID(msg.Seq), at: msg.At.Go().In(d.m.zone), reply: msg.ReplyTo, edited: msg.EditedAt != 0 && msg.DeletedAt == 0,
		text: content(msg.Text, msg.Data, msg.Attachments, msg.DeletedAt != 0), selected: msg.Seq == d.r.selected,
	}
	if msg.User != nil {
		it.user = *msg.User
	}
	if it.user == d.m.me && d.r.info.Kind != protocol.Live {
		it.mark = d.r.tick(msg.Seq, d.m.me).sign()
	}
	var reactions []string
	for _, reaction := range msg.Reactions {
		own := ""
		if reaction.Mine {
			own = "*"
		}
		reactions = append(reactions, fmt.Sprintf("%s %d%s", CleanLine(reaction.Emoji), reaction.Count, own))
	}
	if len(reactions) > 0 {
		it.notes = append(it.notes, strings.Join(reactions, " · "))
	}
	return it
}

// waiting is a message of the outbox as an item.
func (d *drawing) waiting(id itemID, o outgoing) item {
	it := item{id: id, user: d.m.me, at: o.at.In(d.m.zone), text: Clean(o.message.Text), reply: o.message.ReplyTo, mark: tickPending.sign()}
	switch {
	case o.err != nil:
		it.mark = tickFailed.sign()
		it.notes = append(it.notes, explain(o.err))
	case o.seq > 0:
		it.mark = tickSent.sign()
	}
	return it
}

// sign is how a tick looks.
func (t tick) sign() string {
	return [...]string{"✗", "◌", "✓", "✓✓", "✔✔"}[t]
}

// rule draws a line across.
func (d *drawing) rule(id itemID, text string) {
	text = ansi.Truncate(" "+text+" ", d.width, "…")
	side := max(d.width-ansi.StringWidth(text), 0)
	text = strings.Repeat("─", side/2) + text + strings.Repeat("─", side-side/2)
	d.add(id, d.theme.faint.Render(text))
	d.author = ""
}

// add adds a line of an item.
func (d *drawing) add(id itemID, text string) {
	part := 0
	if n := len(d.lines); n > 0 && d.lines[n-1].at.item == id {
		part = d.lines[n-1].at.part + 1
	}
	d.lines = append(d.lines, line{anchor{id, part}, text})
}

func (d *drawing) item(it item) {
	if day := it.at.Format("Monday, 2 January 2006"); day != d.day {
		d.rule(it.id, day)
		d.day = day
	}
	if !d.unread && d.r.newFrom > 0 && it.id > itemID(d.r.newFrom) && it.user != d.m.me {
		d.rule(it.id, "new")
		d.unread = true
	}
	if it.user != d.author || it.at.Sub(d.at) >= groupTime || d.author == "" {
		head := ansi.Truncate(d.m.dot(it.user)+author(it.user), max(d.width-6, 1), "…")
		d.add(it.id, d.theme.bold.Render(head)+" "+d.theme.faint.Render(it.at.Format("15:04")))
	}
	d.author, d.at = it.user, it.at
	if it.reply > 0 {
		d.add(it.id, d.theme.faint.Render(ansi.Truncate("  ┌ "+d.quote(it.reply), d.width, "…")))
	}
	d.text(it)
	for _, note := range it.notes {
		d.add(it.id, d.theme.accent.Render(ansi.Truncate("  "+note, d.width, "…")))
	}
}

// text draws what a message says.
func (d *drawing) text(it item) {
	text := it.text
	if it.edited {
		text += " (edited)"
	}
	if it.mark != "" {
		text += " " + it.mark
	}
	margin := "  "
	if it.selected {
		margin = "▌ "
	}
	for row := range strings.SplitSeq(ansi.Wrap(text, max(d.width-2, 1), ""), "\n") {
		row = ansi.Truncate(margin+row, d.width, "")
		if it.selected {
			row = d.theme.chosen.Render(row)
		}
		d.add(it.id, row)
	}
}

// quote is the message that is replied to, on one line.
func (d *drawing) quote(seq protocol.Seq) string {
	msg := d.r.timeline.find(seq)
	if msg == nil {
		return fmt.Sprintf("an earlier message (#%d)", seq)
	}
	who := backEnd
	if msg.User != nil {
		who = author(*msg.User)
	}
	return who + ": " + CleanLine(content(msg.Text, msg.Data, msg.Attachments, msg.DeletedAt != 0))
}
