package client

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// Caller calls methods by their names: a *Client or an *HTTP.
type Caller interface {
	Call(ctx context.Context, method string, params, result any) error
}

// Methods are the methods of the protocol (§4), by what they are about. What each does, and which errors it has, the protocol says.
type Methods struct {
	Sessions Sessions
	Users    Users
	Rooms    Rooms
	Members  Members
	Messages Messages
	Receipts Receipts
	Typing   Typing
	Presence Presence
}

func methods(c Caller) Methods {
	return Methods{Sessions{c}, Users{c}, Rooms{c}, Members{c}, Messages{c}, Receipts{c}, Typing{c}, Presence{c}}
}

// ask is Call with the type of the result.
func ask[Result any](ctx context.Context, c Caller, method string, params any) (Result, error) {
	var result Result
	err := c.Call(ctx, method, params, &result)
	return result, err
}

// Sessions are the sessions of the user.
type Sessions struct{ c Caller }

// Refresh goes on with a fresh token of the same user. A Client does so by itself; over HTTP it needs a session.
func (s Sessions) Refresh(ctx context.Context, token string) (protocol.SessionRefreshResult, error) {
	return ask[protocol.SessionRefreshResult](ctx, s.c, protocol.SessionRefresh, protocol.SessionRefreshParams{Token: token})
}

// List lists live sessions.
func (s Sessions) List(ctx context.Context, p protocol.SessionListParams) ([]protocol.Session, error) {
	r, err := ask[protocol.SessionListResult](ctx, s.c, protocol.SessionList, p)
	return r.Sessions, err
}

// Revoke closes sessions and refuses the tokens they were opened with.
func (s Sessions) Revoke(ctx context.Context, p protocol.SessionRevokeParams) error {
	return s.c.Call(ctx, protocol.SessionRevoke, p, nil)
}

// Ticket makes a one-time ticket for an event stream.
func (s Sessions) Ticket(ctx context.Context) (protocol.SessionTicketResult, error) {
	return ask[protocol.SessionTicketResult](ctx, s.c, protocol.SessionTicket, nil)
}

// Users are people and bots.
type Users struct{ c Caller }

// Get reads profiles, of 200 users at most. Unknown users are left out.
func (u Users) Get(ctx context.Context, users ...string) ([]protocol.User, error) {
	r, err := ask[protocol.UsersResult](ctx, u.c, protocol.UserGet, protocol.UserGetParams{Users: users})
	return r.Users, err
}

// Update changes a profile.
func (u Users) Update(ctx context.Context, p protocol.UserUpdateParams) (protocol.User, error) {
	r, err := ask[protocol.UserUpdateResult](ctx, u.c, protocol.UserUpdate, p)
	return r.User, err
}

// Search finds users by the beginning of their id or name.
func (u Users) Search(ctx context.Context, p protocol.UserSearchParams) ([]protocol.User, error) {
	r, err := ask[protocol.UsersResult](ctx, u.c, protocol.UserSearch, p)
	return r.Users, err
}

// Export reads a page of what the deployment keeps of a user; for a back end.
func (u Users) Export(ctx context.Context, p protocol.UserExportParams) (protocol.UserExportResult, error) {
	return ask[protocol.UserExportResult](ctx, u.c, protocol.UserExport, p)
}

// Erase takes away what the deployment keeps of a user, for good; for a back end.
func (u Users) Erase(ctx context.Context, p protocol.UserEraseParams) error {
	return u.c.Call(ctx, protocol.UserErase, p, nil)
}

// Receipts are how far members have got.
type Receipts struct{ c Caller }

// Delivered moves delivered cursors at once, all or none. A Client does so by itself.
func (r Receipts) Delivered(ctx context.Context, cursors map[string]protocol.Seq) error {
	return r.c.Call(ctx, protocol.ReceiptDelivered, protocol.ReceiptDeliveredParams{Cursors: cursors}, nil)
}

// Read moves the read cursor of a room at once, and tells where one's cursors stand and how much is unread. Client.Read is cheaper.
func (r Receipts) Read(ctx context.Context, room string, seq protocol.Seq) (protocol.ReceiptReadResult, error) {
	return ask[protocol.ReceiptReadResult](ctx, r.c, protocol.ReceiptRead, protocol.ReceiptReadParams{Room: room, Seq: seq})
}

// List tells how far the members of a room have got.
func (r Receipts) List(ctx context.Context, p protocol.PageParams) (protocol.ReceiptListResult, error) {
	return ask[protocol.ReceiptListResult](ctx, r.c, protocol.ReceiptList, p)
}

// Typing tells the others that one is typing. The server forgets it after 5 s: start again every 3 s while it goes on.
type Typing struct{ c Caller }

// Start tells that one is typing.
func (t Typing) Start(ctx context.Context, room string) error {
	return t.c.Call(ctx, protocol.TypingStart, protocol.RoomParams{Room: room}, nil)
}

// Stop tells that one has stopped.
func (t Typing) Stop(ctx context.Context, room string) error {
	return t.c.Call(ctx, protocol.TypingStop, protocol.RoomParams{Room: room}, nil)
}

// Presence is who is available.
type Presence struct{ c Caller }

// Set sets one's own status, which is kept.
func (p Presence) Set(ctx context.Context, status protocol.Status) error {
	return p.c.Call(ctx, protocol.PresenceSet, protocol.PresenceSetParams{Status: status}, nil)
}

// Subscribe tells how users are seen now, and has their changes pushed as signals; 200 users at most. A Client does it anew for every session, and gives
// its handler what is seen then as signals too.
func (p Presence) Subscribe(ctx context.Context, users ...string) ([]protocol.UserPresence, error) {
	r, err := ask[protocol.PresenceResult](ctx, p.c, protocol.PresenceSubscribe, protocol.PresenceParams{Users: users})
	return r.Users, err
}

// Unsubscribe ends that.
func (p Presence) Unsubscribe(ctx context.Context, users ...string) error {
	return p.c.Call(ctx, protocol.PresenceUnsubscribe, protocol.PresenceParams{Users: users}, nil)
}
