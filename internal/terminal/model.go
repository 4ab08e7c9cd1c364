package terminal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// Model is all that the screen shows, and what follows from it. It belongs to one goroutine.
type Model struct {
	me    string
	zone  *time.Location
	newID func() string // for client_ids

	now           time.Time
	width, height int
	focused       bool
	connection    client.State

	rooms  map[string]*room
	open   string // the room on screen; "": none
	wanted string // the room to open as soon as it is known
	drafts map[string]string

	editor  editor
	overlay *overlay
	notice  string
	list    bool // where the screen is too narrow for both: the list of rooms, not the conversation

	presence   map[string]protocol.Status
	noPresence bool      // the server does not know presence
	typed      time.Time // when the others were told last
	naming     bool      // a direct room is being asked for its peer
	going      bool      // another room was asked for: what is written now is meant for that one
}

// overlay is something to read that stands over the conversation until a key is pressed.
type overlay struct {
	title string
	lines []string
	top   int // the first line shown
}

// Start says as whom a model begins.
type Start struct {
	User   string
	Room   string            // to open at first; "": the one with the newest activity
	Drafts map[string]string // by room
	Zone   *time.Location    // in which times are shown
	NewID  func() string     // makes client_ids
	Now    time.Time
}

// NewModel begins with nothing known.
func NewModel(s Start) *Model {
	m := &Model{
		me: s.User, zone: s.Zone, newID: s.NewID, now: s.Now, wanted: s.Room, focused: true, width: 80, height: 24,
		connection: client.State{Phase: client.Connecting},
		rooms:      map[string]*room{}, drafts: map[string]string{}, presence: map[string]protocol.Status{},
	}
	for id, draft := range s.Drafts {
		m.drafts[id] = draft
	}
	return m
}

// Update takes an event and says what is to be done.
func (m *Model) Update(e Event) []Effect {
	var do []Effect
	switch e := e.(type) {
	case Key:
		do = m.key(e)
	case Paste:
		m.editor.insert(e.Text)
	case Resize:
		m.width, m.height = e.Width, e.Height
	case Focus:
		m.focused = e.On
	case Tick:
		do = m.tick(e.Now)
	case Note:
		m.notice = CleanLine(e.Text)
	case Connection:
		m.connected(e.State)
	case Inbox:
		do = m.inbox(e)
	case Logged:
		do = m.logged(e.Event)
	case Reset:
		do = m.reset(e.Room)
	case Signalled:
		do = m.signal(e.Signal)
	case Kept:
		m.kept(e.Message)
	case Settled:
		m.settled(e)
	case Answer:
		do = takeAnswer(m, e)
	}
	return append(do, m.follow()...)
}

// current is the room on screen, nil if there is none.
func (m *Model) current() *room { return m.rooms[m.open] }

// room is the room, made if it is not known yet.
func (m *Model) room(id string) *room {
	r := m.rooms[id]
	if r == nil {
		r = &room{typing: map[string]time.Time{}, draft: m.drafts[id]}
		r.info.ID, r.info.Settings = id, protocol.DefaultSettings()
		m.rooms[id] = r
	}
	return r
}

// order are the rooms of the list, newest activity first.
func (m *Model) order() []*room {
	var all []*room
	for _, r := range m.rooms {
		if !r.me.Archived || r.info.ID == m.open {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *room) int {
		pinned := func(r *room) int {
			if r.me.Pinned {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(pinned(a), pinned(b)), cmp.Compare(b.active, a.active), cmp.Compare(a.info.ID, b.info.ID))
	})
	return all
}

// atEnd reports that the newest message is on screen.
func (m *Model) atEnd() bool {
	r := m.current()
	return r != nil && r.anchor == anchor{} && m.overlay == nil && (!m.list || layout{m}.wide())
}

// follow is what every event may lead to: the room on screen is read, and its ticks are kept true.
func (m *Model) follow() []Effect {
	r := m.current()
	if r == nil {
		return nil
	}
	do := m.askCursors(r)
	if !m.focused || !m.atEnd() || !r.timeline.loaded {
		return do
	}
	r.timeline.trim()
	if !r.member || r.info.Kind == protocol.Live || r.timeline.high <= r.lastRead {
		return do
	}
	r.lastRead = r.timeline.high
	r.unread, r.mentions, r.counted = 0, 0, max(r.counted, r.timeline.high)
	return append(do, Read{Room: m.open, Seq: r.lastRead})
}

// tick lets pass what lasts for a time.
func (m *Model) tick(now time.Time) []Effect {
	m.now = now
	for _, r := range m.rooms {
		for user, until := range r.typing {
			if !now.Before(until) {
				delete(r.typing, user)
			}
		}
	}
	if r := m.current(); r != nil && !r.timeline.loaded && m.connection.Phase == client.Live {
		return m.load(r) // again, if it could not be loaded
	}
	return nil
}

// connected notes the connection. Cursors move unheard while there is none, so they are asked for again.
func (m *Model) connected(s client.State) {
	m.connection = s
	if s.Phase == client.Live {
		for _, r := range m.rooms {
			r.current = false
		}
	}
}

// askCursors asks how far the members of a room have got, once a session.
func (m *Model) askCursors(r *room) []Effect {
	if !r.member || r.info.Kind == protocol.Live || r.current || m.connection.Phase != client.Live {
		return nil
	}
	r.current = true
	return []Effect{Call{Method: protocol.ReceiptList, Params: protocol.PageParams{Room: r.info.ID}, Silent: true}}
}

func (m *Model) inbox(e Inbox) []Effect {
	var do []Effect
	for _, entry := range e.Rooms {
		m.room(entry.Room.ID).list(entry)
	}
	for _, id := range e.Removed {
		m.gone(id)
	}
	if m.wanted != "" {
		if _, known := m.rooms[m.wanted]; known {
			do = m.show(m.wanted)
		} else {
			do = m.visit(m.wanted)
		}
		m.wanted = ""
	}
	if all := m.order(); m.open == "" && len(all) > 0 {
		do = append(do, m.show(all[0].info.ID)...)
	}
	return append(do, m.name()...)
}

// name asks one direct room after another who the other one is.
func (m *Model) name() []Effect {
	if m.naming {
		return nil
	}
	for _, r := range m.order() {
		if r.member && r.info.Kind == protocol.Direct && r.peer == "" {
			m.naming = true
			return []Effect{Call{Method: protocol.MemberList, Params: protocol.PageParams{Room: r.info.ID}, Silent: true}}
		}
	}
	return nil
}

// show puts a room on screen.
func (m *Model) show(id string) []Effect {
	m.overlay, m.list, m.notice = nil, false, ""
	if id == m.open {
		return nil
	}
	do := m.keepDraft()
	m.open = id
	r := m.room(id)
	r.anchor, r.selected, r.newFrom = anchor{}, 0, r.me.Read
	if r.unread == 0 {
		r.newFrom = 0
	}
	m.editor.set(r.draft)
	if !r.timeline.loaded {
		do = append(do, m.load(r)...)
	}
	return do
}

// keepDraft takes what was begun in the room on screen along.
func (m *Model) keepDraft() []Effect {
	r := m.current()
	if r == nil || r.draft == m.editor.text() {
		return nil
	}
	r.draft = m.editor.text()
	m.drafts[m.open] = r.draft
	if r.draft == "" {
		delete(m.drafts, m.open)
	}
	kept := map[string]string{}
	for id, draft := range m.drafts {
		kept[id] = draft
	}
	return []Effect{SaveDrafts{Drafts: kept}}
}

// load asks for the newest messages of a room that has none, or for older ones.
func (m *Model) load(r *room) []Effect {
	p, ok := r.timeline.ask(r.info.ID)
	if !ok {
		return nil
	}
	return []Effect{Call{Method: protocol.MessageList, Params: p, Life: r.timeline.life}}
}

func (m *Model) logged(e protocol.Event) []Effect {
	r := m.room(e.Room)
	r.event(e, m.me)
	if e.Name == protocol.RoomCreated {
		if d, err := client.Data[protocol.RoomCreatedData](e.Data); err == nil {
			m.added(d.Room)
		}
	}
	do := append(r.know(), m.name()...)
	if m.open == "" {
		do = append(do, m.show(e.Room)...)
	}
	return do
}

// added takes a room that the user has become a member of.
func (m *Model) added(info protocol.Room) {
	r := m.room(info.ID)
	r.info, r.member, r.active = info, info.Kind != protocol.Live, max(r.active, info.CreatedAt)
}

// gone takes a room away.
func (m *Model) gone(id string) {
	r := m.rooms[id]
	if r == nil {
		return
	}
	delete(m.rooms, id)
	delete(m.drafts, id)
	if m.open == id {
		m.open = ""
		m.editor.set("")
	}
}

func (m *Model) reset(id string) []Effect {
	r := m.room(id)
	wasLoaded := r.timeline.loaded || r.timeline.loading
	r.timeline.reset()
	r.anchor, r.selected = anchor{}, 0
	if !wasLoaded {
		return nil
	}
	return m.load(r)
}

func (m *Model) signal(s client.Signal) []Effect {
	r := m.rooms[s.Room]
	switch data := s.Data.(type) {
	case protocol.RoomAddedData:
		m.added(data.Room)
		return m.name()
	case protocol.RoomRemovedData:
		if r != nil {
			m.notice = fmt.Sprintf("%s is gone: %s", r.title(), data.Reason)
		}
		m.gone(s.Room)
		if all := m.order(); m.open == "" && len(all) > 0 {
			notice := m.notice
			do := m.show(all[0].info.ID)
			m.notice = notice
			return do
		}
	case protocol.PresenceData:
		m.presence[s.User] = data.Status
	case protocol.ReceiptData:
		if r != nil {
			return m.receipts(r, data)
		}
	case protocol.TypingData:
		if r != nil && data.Active {
			r.typing[s.User] = m.now.Add(time.Duration(data.ExpiresMS) * time.Millisecond)
		} else if r != nil {
			delete(r.typing, s.User)
		}
	case protocol.AudienceData:
		if r != nil {
			r.watching = data.Watching
		}
	case protocol.SkippedData:
		if r != nil {
			r.timeline.skip(data)
		}
	}
	return nil
}

// receipts takes cursors that have moved. The user's own have moved elsewhere: what is unread then, the server says.
func (m *Model) receipts(r *room, data protocol.ReceiptData) []Effect {
	var do []Effect
	for _, c := range data.Members {
		r.moved(c)
		if c.User == m.me && c.Read > r.lastRead {
			r.lastRead = c.Read
			do = append(do, Call{Method: protocol.RoomGet, Params: protocol.RoomParams{Room: r.info.ID}, Silent: true})
		}
	}
	return do
}

// kept shows a message that waits.
func (m *Model) kept(q client.Queued) {
	r := m.room(q.Message.Room)
	r.outgoing = append(r.outgoing, outgoing{message: q.Message, at: q.At})
	r.active = max(r.active, protocol.At(q.At))
}

// settled notes what became of a message. One that was stored stays until its event comes, so that it never disappears in between.
func (m *Model) settled(e Settled) {
	r := m.rooms[e.Message.Message.Room]
	if r == nil {
		return
	}
	id := e.Message.Message.ClientID
	i := slices.IndexFunc(r.outgoing, func(o outgoing) bool { return o.message.ClientID == id })
	switch {
	case i < 0:
	case e.Err != nil:
		if stopped := new(client.StoppedError); !errors.As(e.Err, &stopped) {
			r.outgoing[i].err = e.Err
			m.notice = "not sent: " + explain(e.Err) + " (ctrl+r sends it again)"
		}
	case !r.timeline.loaded && !r.timeline.loading, e.Result.Seq <= r.timeline.high:
		r.outgoing = slices.Delete(r.outgoing, i, i+1)
	default:
		r.outgoing[i].seq = e.Result.Seq
	}
}

// explain is an error in words for the person.
func explain(err error) string {
	if refusal := new(protocol.Error); errors.As(err, &refusal) {
		return CleanLine(refusal.Message)
	}
	return CleanLine(err.Error())
}
