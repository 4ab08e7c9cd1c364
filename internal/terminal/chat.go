package terminal

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"reflect"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// ChatOptions say who chats, and where.
type ChatOptions struct {
	URL   string
	User  string
	Token func(ctx context.Context) (string, error) // asked whenever one is needed; may block
	Room  string                                    // to open at first; "": the one with the newest activity
	State string                                    // the folder of the profiles
}

// sendsWaiting is how many messages may wait to be put into the outbox: more than anyone types while a disk writes.
const sendsWaiting = 1000

// Chat runs the chat on the terminal until the person quits or ctx ends. Messages that are still to be sent then are kept for the next time.
func Chat(ctx context.Context, o ChatOptions) (err error) {
	profile, err := OpenProfile(o.State, o.URL, o.User)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, profile.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &loop{
		ctx: ctx, profile: profile, sends: make(chan protocol.MessageSendParams, sendsWaiting),
		model: NewModel(Start{User: o.User, Room: o.Room, Drafts: profile.Drafts, Zone: time.Local, NewID: rand.Text, Now: time.Now()}),
	}
	waiting, err := profile.Outbox.Load(ctx)
	if err != nil {
		return err
	}
	for _, q := range waiting {
		l.model.Update(Kept{q})
	}
	for _, note := range profile.Notes {
		l.model.Update(Note{note})
	}
	program := tea.NewProgram(l, tea.WithContext(ctx), tea.WithoutSignalHandler())
	tell := func(e Event) { program.Send(e) }
	l.client, err = client.Start(client.Options{
		URL: o.URL, Token: o.Token, Device: profile.Device, ClientName: "parley chat", Outbox: profile.Outbox,
		Logger: slog.New(slog.DiscardHandler), Handler: handler(tell),
	})
	if err != nil {
		return err
	}
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		l.send(tell)
	}()
	_, err = program.Run()
	for _, effect := range l.model.keepDraft() { // where a signal has ended it
		l.carryOut(effect)
	}
	close(l.sends)
	<-sending // every message is in the outbox
	stop()
	l.client.Close()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled) {
		return nil // asked to end by a signal
	}
	return err
}

// handler turns what the client tells into events.
func handler(tell func(Event)) client.Handler {
	return client.Handler{
		Event: func(e protocol.Event) { tell(Logged{e}) },
		Reset: func(room string, _ protocol.Seq) { tell(Reset{room}) },
		Rooms: func(changed []protocol.InboxEntry, removed []string) { tell(Inbox{changed, removed}) },
		Sent: func(q client.Queued, r protocol.MessageSendResult, err error) {
			tell(Settled{Message: q, Result: r, Err: err})
		},
		Signal: func(s client.Signal) { tell(Signalled{s}) },
		State:  func(s client.State) { tell(Connection{s}) },
	}
}

// loop is the model on a terminal.
type loop struct {
	ctx     context.Context // of the program; here because the library's functions carry none
	model   *Model
	client  *client.Client
	profile *Profile
	sends   chan protocol.MessageSendParams
}

// inASecond brings the time.
func inASecond() tea.Cmd {
	return tea.Tick(time.Second, func(now time.Time) tea.Msg { return Tick{now} })
}

// Init is called by the library.
func (l *loop) Init() tea.Cmd { return inASecond() }

// Update is called by the library with everything that happens, one after another.
func (l *loop) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	var next tea.Cmd
	event := Event(message)
	switch message := message.(type) {
	case tea.KeyPressMsg:
		event = Key{Name: message.String(), Text: message.Text}
	case tea.PasteMsg:
		event = Paste{message.Content}
	case tea.WindowSizeMsg:
		event = Resize{message.Width, message.Height}
	case tea.FocusMsg:
		event = Focus{true}
	case tea.BlurMsg:
		event = Focus{false}
	case Tick:
		next = inASecond()
	}
	commands := []tea.Cmd{next}
	for _, effect := range l.model.Update(event) {
		commands = append(commands, l.carryOut(effect))
	}
	return l, tea.Batch(commands...)
}

// View is called by the library when the screen is to be drawn.
func (l *loop) View() tea.View {
	s := l.model.View()
	v := tea.NewView(s.Text)
	v.AltScreen, v.ReportFocus, v.WindowTitle = true, true, s.Title
	v.Cursor = tea.NewCursor(s.CursorX, s.CursorY)
	return v
}

// carryOut does what the model wants, at once or by a command, which has a goroutine of its own.
func (l *loop) carryOut(effect Effect) tea.Cmd {
	switch effect := effect.(type) {
	case Send:
		select {
		case l.sends <- effect.Message:
		default:
			return answer(Settled{Message: client.Queued{Message: effect.Message}, Err: client.ErrOutboxFull})
		}
	case Read:
		l.client.Read(effect.Room, effect.Seq)
	case Call:
		return func() tea.Msg { return l.call(effect) }
	case SaveDrafts:
		if err := l.profile.SaveDrafts(effect.Drafts); err != nil {
			return answer(Note{"the drafts could not be kept: " + err.Error()})
		}
	case Quit:
		return tea.Quit
	}
	return nil
}

func answer(e Event) tea.Cmd { return func() tea.Msg { return e } }

// call makes a call and waits for its answer, also for a connection.
func (l *loop) call(c Call) Answer {
	row, _ := protocol.Lookup(c.Method)
	result := reflect.New(reflect.TypeOf(row.Result))
	err := l.client.Call(l.ctx, c.Method, c.Params, result.Interface())
	return Answer{Call: c, Result: result.Elem().Interface(), Err: err}
}

// send puts messages into the outbox in the order in which they were written, until there will be no more.
func (l *loop) send(tell func(Event)) {
	for message := range l.sends {
		if _, err := l.client.SendAsync(message); err != nil {
			tell(Settled{Message: client.Queued{Message: message}, Err: err})
		}
	}
}
