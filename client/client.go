package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"

	"github.com/parley-im/parley/protocol"
)

// Options say where a client connects, as whom, and whom it tells. URL and Token are required.
type Options struct {
	// URL of the server: ws, wss, http or https, without the path of the endpoint.
	URL string
	// Token brings the user's token. It is asked before every attempt to connect and when a token is about to end, and may block.
	Token func(ctx context.Context) (string, error)
	// Device is this installation: made once and kept, 1–64 printable ASCII characters. Empty: a new one, told by Client.Device.
	Device string
	// ClientName is free text about the program, for session lists.
	ClientName string
	// Rooms says which rooms are followed: protocol.RoomsAll (also when empty) is every room the user is a member of, protocol.RoomsNone those of
	// Resume and those subscribed to.
	Rooms protocol.RoomsToAll
	// Resume are the positions of an earlier life, from Client.Positions: the stream goes on right after them.
	Resume *protocol.Resume
	// Handler is told what happens.
	Handler Handler
	// ManualReceipts leaves `delivered` to the application; otherwise it is reported as Handler.Event returns, at most once a second.
	ManualReceipts bool
	// QueueBytes bounds what waits for the handler, 0: 4 MiB. A handler further behind than that holds the server back, which then catches up later or
	// sends a reset. While the application waits for a call, four times as much may wait; beyond that signals are lost and a new session resumes.
	QueueBytes int
	// Outbox keeps what Send was given and the server has not answered yet; nil: in memory only.
	Outbox OutboxStore
	// OutboxLimit is how many messages may wait in the outbox; 0: 1,000.
	OutboxLimit int

	Backoff Backoff
	Conn    ConnOptions
	Logger  *slog.Logger // nil: slog.Default
}

// Handler is told what happens, one call at a time, in order, on a goroutine of the client's own. Every field may be nil. A function may call any
// method of the client but Close, which waits for it.
type Handler struct {
	// Event is told every event of every room followed: per room in the order of seq, none missing, none twice.
	Event func(e protocol.Event)
	// Reset says that the stream of a room could not be continued: what the application has of it must be loaded anew, as with Messages.List.
	// The next event is head + 1.
	Reset func(room string, head protocol.Seq)
	// Rooms is told the inbox after every hello: all of it at first, then what has changed since the last time, and which rooms were left.
	// Not called with RoomsNone.
	Rooms func(changed []protocol.InboxEntry, removed []string)
	// Signal is told every signal but resets, also those that this version does not know.
	Signal func(s Signal)
	// Sent is told what became of a message of the outbox, one that a former run of the program left there included: its result, or why it was refused.
	Sent func(q Queued, result protocol.MessageSendResult, err error)
	// State is told of every change of the connection.
	State func(s State)
	// Violation is told when the server broke the contract. Event is never told what came out of order: a hole is mended by resuming, what came
	// twice is dropped.
	Violation func(err error)
}

// Signal is a push that is in no log. Data is a value of the type that protocol.Pushes has for its name, such as protocol.TypingData, or
// protocol.Raw for a name that is not there.
type Signal struct {
	Name protocol.Name
	Room string // empty if it is about none
	User string // empty if it is about none
	Data any
}

// StoppedError is what calls return once the client has stopped, and Connect if the server forbade to come back.
type StoppedError struct{ State State }

// Error says why it stopped.
func (e *StoppedError) Error() string {
	if e.State.Err != nil {
		return fmt.Sprintf("client: stopped (%s): %v", e.State.Reason, e.State.Err)
	}
	return fmt.Sprintf("client: stopped (%s)", e.State.Reason)
}

// Unwrap is what the server or the network said.
func (e *StoppedError) Unwrap() error { return e.State.Err }

// Client is one user's session with a server, kept over connections. Every method may be called from any goroutine.
//
// Locks are taken in this order: the link's, outbox.mu or receipts.mu, Client.mu, queue.mu. No function of the application runs under one.
type Client struct {
	Methods

	o        Options
	log      *slog.Logger
	link     *Link
	ctx      context.Context // ends with Close; here because work starts from callbacks of the link
	stop     context.CancelFunc
	running  sync.WaitGroup
	queue    *queue
	outbox   *outbox
	receipts *receipts

	mu         sync.Mutex
	state      State
	changed    chan struct{} // closed and replaced with every state
	calls      map[uint64]*call
	lastCall   uint64
	sessions   map[uint64]context.CancelFunc // that may still answer, with what is done for their time
	newest     uint64                        // session
	stream     stream
	handled    stream              // as far as the handler has got
	inbox      string              // the token of room.list
	watching   map[string]struct{} // the users whose presence was subscribed to
	violations uint64
	closed     bool
}

// Start makes a client that connects in the background. It fails only for options that can never work and for an outbox that cannot be loaded.
func Start(o Options) (*Client, error) {
	if o.Device == "" {
		o.Device = rand.Text()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Client{
		o:        o,
		log:      o.Logger.With("device", o.Device),
		state:    State{Phase: Connecting},
		changed:  make(chan struct{}),
		calls:    make(map[uint64]*call),
		sessions: make(map[uint64]context.CancelFunc),
		watching: make(map[string]struct{}),
		stream:   newStream(o.Resume),
		handled:  newStream(o.Resume),
	}
	c.Methods = methods(c)
	c.queue = newQueue(o.QueueBytes, func() { c.link.Cut() })
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.receipts = newReceipts(c)
	var err error
	if c.outbox, err = newOutbox(c); err != nil {
		return nil, err
	}
	lo := &LinkOptions{URL: o.URL, Token: o.Token, Device: o.Device, Client: o.ClientName, Rooms: o.Rooms, Backoff: o.Backoff, Conn: o.Conn}
	if c.link, err = NewLink(lo, linkHandler{c}); err != nil {
		return nil, err
	}
	c.running.Go(c.queue.run)
	c.link.Open()
	return c, nil
}

// Connect is Start, and waits until the first session is open. If that cannot be, for good or until ctx ends, it returns why.
func Connect(ctx context.Context, o Options) (*Client, error) {
	c, err := Start(o)
	if err != nil {
		return nil, err
	}
	if _, err := c.awaitLive(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// awaitLive waits for a session. What it returns is closed with the state that follows.
func (c *Client) awaitLive(ctx context.Context) (over <-chan struct{}, err error) {
	for {
		c.mu.Lock()
		state, changed := c.state, c.changed
		c.mu.Unlock()
		switch state.Phase {
		case Live:
			return changed, nil
		case Stopped:
			return nil, &StoppedError{state}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if state.Err != nil {
				return nil, fmt.Errorf("%w: %w", context.Cause(ctx), state.Err)
			}
			return nil, context.Cause(ctx)
		}
	}
}

// Close ends the session and everything the client does, and waits for the handler to be done. Calls that wait return a *StoppedError; what is still in
// the outbox stays in its store. It must not be called from a function of the Handler.
func (c *Client) Close() {
	c.stop()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.queue.close()
	c.link.Close()
	c.running.Wait()
}

// background runs work that Close waits for, which ends with the client's context. It reports false once the client is closed.
func (c *Client) background(work func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Go(work)
	}
	return !c.closed
}

// State is what the client is doing now.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Device is the device that the client says it is: keep it for the next Start.
func (c *Client) Device() string { return c.o.Device }

// Positions are how far Handler.Event has got, in every room followed: keep them for Options.Resume of the next Start.
func (c *Client) Positions() protocol.Resume {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handled.positions()
}

// Violations counts how often the server broke the contract.
func (c *Client) Violations() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.violations
}
