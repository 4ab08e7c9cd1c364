package client

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// Rooms are the rooms that the user may see.
type Rooms struct{ c Caller }

// Create makes a room. With a ClientID it can be called again if the answer was lost.
func (r Rooms) Create(ctx context.Context, p protocol.RoomCreateParams) (protocol.RoomCreateResult, error) {
	return ask[protocol.RoomCreateResult](ctx, r.c, protocol.RoomCreate, p)
}

// Direct is the one room of the user and another, made if it is not there yet.
func (r Rooms) Direct(ctx context.Context, user string) (protocol.Room, error) {
	result, err := r.Create(ctx, protocol.RoomCreateParams{Kind: protocol.Direct, Members: []string{user}})
	return result.Room, err
}

// Get reads one room as the user sees it.
func (r Rooms) Get(ctx context.Context, room string) (protocol.RoomGetResult, error) {
	return ask[protocol.RoomGetResult](ctx, r.c, protocol.RoomGet, protocol.RoomParams{Room: room})
}

// Update changes a room.
func (r Rooms) Update(ctx context.Context, p protocol.RoomUpdateParams) (protocol.RoomUpdateResult, error) {
	return ask[protocol.RoomUpdateResult](ctx, r.c, protocol.RoomUpdate, p)
}

// Delete deletes a room for good.
func (r Rooms) Delete(ctx context.Context, p protocol.RoomEventParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, r.c, protocol.RoomDelete, p)
}

// List reads one page of the inbox, newest activity first.
func (r Rooms) List(ctx context.Context, p protocol.RoomListParams) (protocol.RoomListResult, error) {
	return ask[protocol.RoomListResult](ctx, r.c, protocol.RoomList, p)
}

// Browse reads one page of the channels that the user may find.
func (r Rooms) Browse(ctx context.Context, p protocol.RoomBrowseParams) (protocol.RoomBrowseResult, error) {
	return ask[protocol.RoomBrowseResult](ctx, r.c, protocol.RoomBrowse, p)
}

// Join makes the user a member of a channel.
func (r Rooms) Join(ctx context.Context, p protocol.RoomEventParams) (protocol.RoomJoinResult, error) {
	return ask[protocol.RoomJoinResult](ctx, r.c, protocol.RoomJoin, p)
}

// Leave ends the user's membership.
func (r Rooms) Leave(ctx context.Context, p protocol.RoomEventParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, r.c, protocol.RoomLeave, p)
}

// Subscribe follows a room that is not followed yet, from behind the given seq or, with none, from now; it returns the head. A Client goes on
// following it in later sessions.
func (r Rooms) Subscribe(ctx context.Context, room string, after ...protocol.Seq) (head protocol.Seq, err error) {
	p := protocol.RoomSubscribeParams{Room: room}
	if len(after) > 0 {
		p.After = &after[0]
	}
	result, err := ask[protocol.HeadResult](ctx, r.c, protocol.RoomSubscribe, p)
	return result.Head, err
}

// Unsubscribe stops following a room. A Client does not follow it in later sessions either, until it is subscribed to.
func (r Rooms) Unsubscribe(ctx context.Context, room string) error {
	return r.c.Call(ctx, protocol.RoomUnsubscribe, protocol.RoomParams{Room: room}, nil)
}

// Members are those of a room.
type Members struct{ c Caller }

// Add makes users members of a group or a channel, 200 at most in a call.
func (m Members) Add(ctx context.Context, p protocol.MemberAddParams) (protocol.MemberAddResult, error) {
	return ask[protocol.MemberAddResult](ctx, m.c, protocol.MemberAdd, p)
}

// Remove ends a membership.
func (m Members) Remove(ctx context.Context, p protocol.MemberParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.MemberRemove, p)
}

// Update changes a member's role, or mutes them.
func (m Members) Update(ctx context.Context, p protocol.MemberUpdateParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.MemberUpdate, p)
}

// Ban keeps a user out of a room.
func (m Members) Ban(ctx context.Context, p protocol.MemberBanParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.MemberBan, p)
}

// Unban ends a ban.
func (m Members) Unban(ctx context.Context, p protocol.MemberParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.MemberUnban, p)
}

// List reads one page of the members of a room.
func (m Members) List(ctx context.Context, p protocol.PageParams) (protocol.MemberListResult, error) {
	return ask[protocol.MemberListResult](ctx, m.c, protocol.MemberList, p)
}

// Settings changes the user's own settings for a room.
func (m Members) Settings(ctx context.Context, p protocol.MemberSettingsParams) error {
	return m.c.Call(ctx, protocol.MemberSettings, p, nil)
}
