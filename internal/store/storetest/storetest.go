// Package storetest is what every engine of the store must pass: the same tests, through the ports of the core, of delivery and of authentication.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/retention"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// Store is what is tested: one store, or several that are used as one.
type Store interface {
	rooms
	people
	upkeep
	life
}

// The ports, by whom they are about.
type (
	life interface {
		Close() error
		Epoch() string
		NewEpoch(ctx context.Context) error
	}
	rooms interface {
		chat.Log
		chat.Snapshots
		chat.Inbox
		chat.Search
		chat.Desk
		chat.Names
		delivery.Source
		Whereabouts(ctx context.Context, room string, seq protocol.Seq, limit int) (*store.Whereabouts, error)
	}
	people interface {
		chat.Users
		auth.Sessions
		auth.Keys
		auth.Tickets
		presence.Store
		privacy.Estate
		nodes
	}
	nodes interface {
		cluster.Registry
		SaveCheckpoint(ctx context.Context, session string, number uint64, positions []byte) error
		Checkpoint(ctx context.Context, session string, number uint64) ([]byte, error)
		KeepCheckpoints(ctx context.Context, node string) error
	}
	upkeep interface {
		relay.Source
		retention.Source
		RebuildSearch(ctx context.Context) error
		Unapplied(ctx context.Context, before time.Time) (rooms, events int, err error)
	}
)

// Deployment is where a Store under test is.
type Deployment struct {
	Open     func(ctx context.Context, o store.Options) (Store, error) // as one more node, or as a command beside it
	URL      string                                                    // of the database, or of one of them
	Database func(room string) (url string)                            // the database that holds a room; nil where there is one
}

// Run runs the suite on one store. database makes an empty database that lasts as long as the test and returns its URL.
func Run(t *testing.T, database func(t testing.TB) string) {
	run(t, slices.Concat(calls(), duties(), transactions()), func(t testing.TB) Deployment {
		url := database(t)
		return Deployment{URL: url, Open: func(ctx context.Context, o store.Options) (Store, error) {
			o.URL = url
			return store.Open(ctx, o)
		}}
	})
}

// RunOn runs what of the suite is not about one database. deploy makes an empty deployment that lasts as long as the test.
func RunOn(t *testing.T, deploy func(t testing.TB) Deployment) {
	run(t, slices.Concat(calls(), duties()), deploy)
}

func run(t *testing.T, tests []test, deploy func(t testing.TB) Deployment) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(newFixture(t, deploy(t))) })
	}
}

type test struct {
	name string
	run  func(*fixture)
}

// calls are the tests of what people ask for.
func calls() []test {
	return []test{
		{"log/messages get the next seq and number", testSends},
		{"log/a repeated call is answered with the first result", testDuplicates},
		{"log/many writers leave no gap", testManyWriters},
		{"log/two nodes share a room", testTwoNodes},
		{"log/a deleted message leaves no content", testRedaction},
		{"log/cursors only go forward", testCursors},
		{"log/cursors move in all rooms or in none", testCursorsTogether},
		{"log/a restart keeps everything", testRestart},
		{"log/closing answers everybody", testClose},
		{"log/another epoch", testNewEpoch},

		{"room/a scene is the room, its head and one's own row", testScene},
		{"room/events are the log", testEvents},
		{"room/messages lie around a position", testMessageWindows},
		{"room/messages carry reactions, replies and rev", testMessageOverlay},
		{"room/members are those of now", testMembers},
		{"room/one's own settings", testDesk},
		{"room/where an event is", testWhereabouts},

		{"inbox/newest activity first", testInboxOrder},
		{"inbox/an entry counts what is unread", testInboxEntry},
		{"inbox/filters", testInboxFilters},
		{"inbox/since a position", testInboxSince},
		{"inbox/browse", testBrowse},

		{"users/profiles", testProfiles},
		{"users/search", testSearch},

		{"presence/a status and its time", testPresenceKept},
		{"presence/who sees whom", testPresenceVisible},
		{"presence/nodes that died", testPresenceLost},
		{"presence/nothing is left of who was erased", testPresenceErased},
		{"presence/many at once", testPresenceStorm},

		{"search/words, phrases and prefixes", testQueries},
		{"search/case, accents and scripts", testFolding},
		{"search/any text is a query", testAnyQuery},
		{"search/messages as they stand", testSearchStands},
		{"search/who may find", testSearchAccess},
		{"search/pages", testSearchPages},
		{"search/the rooms with the newest events", testSearchRecent},
		{"search/time runs out", testSearchDeadline},

		{"model/any sequence of calls", testModel},
	}
}

// duties are the tests of what the server's other parts ask for.
func duties() []test {
	return []test{
		{"delivery/places", testPlaces},
		{"delivery/rooms, heads and events", testSource},
		{"delivery/what changed", testChanged},
		{"delivery/what changed misses no writer", testChangedMissesNothing},
		{"delivery/what changed misses no late commit", testChangedLateCommit},

		{"auth/sessions replace each other", testSessionsReplace},
		{"auth/sessions are counted while their node lives", testSessionsLive},
		{"auth/a storm of sessions", testSessionsStorm},
		{"auth/revoked tokens are refused", testRevoke},
		{"auth/keys", testKeys},
		{"auth/a ticket is taken once", testTickets},

		{"nodes/what they tell of themselves", testNodes},

		{"streams/checkpoints", testCheckpoints},

		{"privacy/what a user has left", testEstate},
		{"privacy/an erased profile", testBlank},
		{"privacy/the list of erasures", testErasures},

		{"relay/rooms that are behind", testBehind},
		{"relay/two at once", testTwoRelays},
		{"relay/nodes share the rooms", testLease},
		{"relay/the index is built anew", testRebuild},

		{"retention/old events go with all that was made of them", testRetention},
		{"retention/settings", testRetentionSettings},
		{"retention/what goes is a beginning of the log", testRetentionPrefix},
		{"retention/a repeated call is answered with the first result", testRetentionRemembers},
		{"retention/what is gone cannot be named", testRetentionTargets},
		{"retention/cursors and unread stay right", testRetentionCursors},
		{"retention/the relay comes first", testRetentionRelay},
		{"retention/a room is one node's at a time", testRetentionClaims},
		{"retention/a deleted room is emptied", testRetentionDeleted},
		{"retention/tombstones", testTombstones},
		{"retention/while others write", testRetentionWriters},

		{"feed/again", testReplay},
		{"feed/dead letters", testDeadLetters},
	}
}

// transactions are the tests of what is so within one database: how many rows one answer has, and that a transaction is whole.
func transactions() []test {
	return []test{
		{"delivery/what changed in many answers", testChangedSweep},
		{"relay/an event is applied once", testApply},
		{"relay/very large events", testApplyLarge},

		{"feed/every event has a job", testJobs},
		{"feed/applied and handed together", testJobsCommitted},
		{"feed/events as they stand", testJobsStand},
		{"feed/rooms by pages", testJobLines},
		{"feed/nodes share the rooms", testFeedLease},
	}
}

// tb is what both kinds of tests have, Go's own and rapid's.
type tb interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Log(args ...any)
}

// fixture is one store under test, with the core on top for writing.
type fixture struct {
	tb
	t         *testing.T
	at        Deployment
	clock     *clock
	committed chat.Committed // set before the store is opened
	store     Store
	core      *chat.Service
	calls     *atomic.Int64
}

func newFixture(t *testing.T, at Deployment) *fixture {
	f := &fixture{tb: t, t: t, at: at, clock: newClock(), calls: new(atomic.Int64)}
	f.open()
	t.Cleanup(f.close)
	return f
}

// under is the fixture for a part of its test that fails in its own way.
func (f *fixture) under(part tb) *fixture {
	under := *f
	under.tb = part
	return &under
}

func (f *fixture) open() {
	f.Helper()
	f.store = f.node()
	f.core = coreOf(f.store, f.clock)
}

// node opens the database once more.
func (f *fixture) node() Store {
	f.Helper()
	s, err := f.at.Open(f.Context(), store.Options{Now: f.clock.now, Log: silent(), Committed: f.committed})
	f.must(err)
	return s
}

func (f *fixture) close() {
	if f.store != nil {
		f.must(f.store.Close())
		f.store = nil
	}
}

func (f *fixture) restart() {
	f.Helper()
	f.close()
	f.open()
}

func (f *fixture) postgres() bool { return strings.HasPrefix(f.at.URL, "postgres") }

// alone is the one store that is tested.
func alone(f *fixture) *store.Store { return f.store.(*store.Store) }

// database is the URL of the database that holds a room.
func (f *fixture) database(room string) string {
	if f.at.Database == nil {
		return f.at.URL
	}
	return f.at.Database(room)
}

func coreOf(s Store, c *clock) *chat.Service {
	return chat.NewService(chat.Ports{Log: s, Snapshots: s, Inbox: s, Search: s, Desk: s, Users: s, Names: s},
		chat.Options{Epoch: s.Epoch, Key: make([]byte, 32), Now: c.now, Logger: silent()})
}

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// clock only moves when it is told to.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// fails fails the test unless err is the one wanted.
func (f *fixture) fails(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got the error %v, want %v", err, want)
	}
}

// equal fails the test unless both are the same; no slice is the same as an empty one.
func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// call carries out a call of the user that must succeed.
func call[R any](f *fixture, user, method string, params any) R {
	f.Helper()
	result, err := f.core.Do(context.WithoutCancel(f.Context()), chat.Actor{User: user}, method, params)
	if err != nil {
		f.Fatalf("%s by %s: %v", method, user, err)
	}
	return result.(R)
}

// refused carries out a call of the user that must fail.
func (f *fixture) refused(user, method string, params any) *protocol.Error {
	f.Helper()
	result, err := f.core.Do(f.Context(), chat.Actor{User: user}, method, params)
	if err == nil {
		f.Fatalf("%s by %s was not refused: %+v", method, user, result)
	}
	return err
}

// clientID is a new one.
func (f *fixture) clientID() string { return fmt.Sprintf("c%d", f.calls.Add(1)) }

// room makes a room whose first member owns it, and who all exist.
func (f *fixture) room(kind protocol.Kind, owner string, members ...string) string {
	f.Helper()
	return f.roomWith(protocol.RoomCreateParams{Kind: kind, Members: members}, owner)
}

func (f *fixture) roomWith(p protocol.RoomCreateParams, owner string) string {
	f.Helper()
	f.must(f.store.Ensure(f.Context(), append(p.Members, owner)...))
	p.ClientID = f.clientID()
	result, err := f.core.CreateRoom(f.Context(), chat.Actor{User: owner}, &p)
	if err != nil {
		f.Fatal(err)
	}
	return result.Room.ID
}

// send sends a text that names the users.
func (f *fixture) send(room, user, text string, mentions ...string) protocol.MessageSendResult {
	f.Helper()
	return call[protocol.MessageSendResult](f, user, protocol.MessageSend,
		&protocol.MessageSendParams{Room: room, ClientID: f.clientID(), Text: text, Mentions: mentions})
}

func (f *fixture) reply(room, user, text string, to protocol.Seq) protocol.Seq {
	f.Helper()
	return call[protocol.MessageSendResult](f, user, protocol.MessageSend,
		&protocol.MessageSendParams{Room: room, ClientID: f.clientID(), Text: text, ReplyTo: to}).Seq
}

// react sets an emoji, or takes it away.
func (f *fixture) react(method, room, user string, seq protocol.Seq, emoji string) protocol.Seq {
	f.Helper()
	return call[protocol.SeqResult](f, user, method, &protocol.ReactionParams{Room: room, Seq: seq, Emoji: emoji}).Seq
}

func (f *fixture) edit(room, user string, seq protocol.Seq, text string) protocol.Seq {
	f.Helper()
	return call[protocol.SeqResult](f, user, protocol.MessageEdit, &protocol.MessageEditParams{Room: room, Seq: seq, Text: protocol.Some(text)}).Seq
}

func (f *fixture) delete(room, user string, seq protocol.Seq) protocol.Seq {
	f.Helper()
	return call[protocol.SeqResult](f, user, protocol.MessageDelete, &protocol.MessageParams{Room: room, Seq: seq}).Seq
}

func (f *fixture) add(room, by string, users ...string) protocol.Seq {
	f.Helper()
	f.must(f.store.Ensure(f.Context(), users...))
	return call[protocol.MemberAddResult](f, by, protocol.MemberAdd, &protocol.MemberAddParams{Room: room, Users: users}).Seq
}

// member carries out a call about one member: member.remove, member.ban, member.unban.
func (f *fixture) member(method, room, by, user string) protocol.Seq {
	f.Helper()
	var params any = &protocol.MemberParams{Room: room, User: user}
	if method == protocol.MemberBan {
		params = &protocol.MemberBanParams{Room: room, User: user}
	}
	return call[protocol.SeqResult](f, by, method, params).Seq
}

func (f *fixture) read(room, user string, seq protocol.Seq) protocol.ReceiptReadResult {
	f.Helper()
	return call[protocol.ReceiptReadResult](f, user, protocol.ReceiptRead, &protocol.ReceiptReadParams{Room: room, Seq: seq})
}

// view looks at a room.
func (f *fixture) view(room, user string, look func(*chat.Scene, chat.Snapshot)) {
	f.Helper()
	f.must(f.store.View(f.Context(), room, user, func(sc *chat.Scene, snap chat.Snapshot) error {
		look(sc, snap)
		return nil
	}))
}

// messages is the whole of a room's messages.
func (f *fixture) messages(room, user string) []*chat.Message {
	f.Helper()
	var all []*chat.Message
	f.view(room, user, func(_ *chat.Scene, snap chat.Snapshot) {
		messages, more, err := snap.Messages(f.Context(), chat.MessageQuery{From: 1, Limit: 10_000})
		f.must(err)
		f.equal("more", more, false)
		all = messages
	})
	return all
}

// events is the whole of a room's log.
func (f *fixture) events(room string) []*chat.Event {
	f.Helper()
	events, err := f.store.Events(f.Context(), room, 0, 100_000)
	f.must(err)
	return events
}

// dense fails the test unless the log is 1, 2, 3 … up to its head.
func (f *fixture) dense(room string) []*chat.Event {
	f.Helper()
	events := f.events(room)
	for i, e := range events {
		if e.Seq != protocol.Seq(i+1) {
			f.Fatalf("room %s: event %d has seq %d", room, i+1, e.Seq)
		}
	}
	f.view(room, "", func(sc *chat.Scene, _ chat.Snapshot) { f.equal("head", sc.Head.Seq, protocol.Seq(len(events))) })
	return events
}

func texts(messages []*chat.Message) []string {
	out := make([]string, len(messages))
	for i, m := range messages {
		if m.Content.Text != nil {
			out[i] = *m.Content.Text
		}
	}
	return out
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
