package shards_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// parted is a deployment over two servers, of which the second can be stopped.
type parted struct {
	*deployment
	other *testkit.Postgres
}

func part(t *testing.T) *parted {
	t.Helper()
	other := testkit.StartPostgres(t, "autovacuum=off")
	return &parted{deployOn(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), other), other}
}

// opened are the stores of one server, until it is to open them anew.
type opened struct {
	*node
	moved chan string
	lines *lines
}

// open opens a server's stores, which the test closes.
func (p *parted) open(t *testing.T) (*opened, error) {
	t.Helper()
	o := &opened{moved: make(chan string, 1), lines: &lines{told: make(chan string, 100)}}
	s, err := shards.Open(t.Context(), shards.Options{Home: p.home, Others: p.others, Store: store.Options{
		Log: slog.New(o.lines), Moved: func(epoch string) { o.moved <- epoch },
	}})
	if err != nil {
		return nil, err
	}
	o.node = nodeOf(s)
	return o, nil
}

func (p *parted) mustOpen(t *testing.T) *opened {
	t.Helper()
	o, err := p.open(t)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *opened) close(t *testing.T) {
	t.Helper()
	if err := o.store.Close(); err != nil {
		t.Error(err)
	}
}

// reopen waits until the stores are to be opened anew, and does so.
func (p *parted) reopen(t *testing.T, o *opened) *opened {
	t.Helper()
	<-o.moved
	o.close(t)
	return p.mustOpen(t)
}

// lines is a log of which a test reads the messages of warnings and errors.
type lines struct {
	slog.Handler
	told chan string
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	select {
	case l.told <- text:
	default: // the test has read what it wants
	}
	return nil
}

func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

// tells waits for a line with all of the words.
func (l *lines) tells(words ...string) {
	for line := range l.told {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return
		}
	}
}

// at is a name whose user is on the home, or on the other shard.
func at(home bool) string {
	for name := "u"; ; name += "u" {
		if (slots.User(name) < slots.Count/2) == home {
			return name
		}
	}
}

// answer is how a call is answered at once.
func (n *node) answer(user, method string, params any) protocol.Code {
	if _, err := n.core.Do(context.Background(), chat.Actor{User: user}, method, params); err != nil {
		return err.Code
	}
	return ""
}

// TestOpenWithoutAShard opens a server while a shard is away: what is of the others works, what is of that shard is unavailable, and nobody who may have been
// revoked, or be invisible, is taken for one who is not. When the shard is there everything is opened anew, and all positions stand.
func TestOpenWithoutAShard(t *testing.T) {
	p := part(t)
	before := p.mustOpen(t)
	here, there := at(true), at(false)
	if err := before.store.Ensure(t.Context(), here, there); err != nil {
		t.Fatal(err)
	}
	home, other := before.inBoth(t, here)
	before.say(t, here, home, "1", "x")
	before.say(t, here, other, "1", "x")
	epoch := before.store.Epoch()
	before.close(t)
	p.other.Stop(testkit.Immediate)

	n := p.mustOpen(t)
	s := n.store
	if s.Epoch() != epoch || !s.Stands(epoch, other) || !s.Stands(epoch, home) || !s.Stands(epoch, "") {
		t.Errorf("the epoch is %s, and was %s", s.Epoch(), epoch)
	}
	if now, _ := s.Life(other); !strings.HasSuffix(epoch, shards.Part(now)) {
		t.Errorf("the life of the room is %q", now)
	}
	if code := n.answer(here, protocol.MessageSend, &protocol.MessageSendParams{Room: home, ClientID: "2", Text: "x"}); code != "" {
		t.Errorf("a message to a room of the home: %v", code)
	}
	if code := n.answer(here, protocol.MessageSend, &protocol.MessageSendParams{Room: other, ClientID: "2", Text: "x"}); code != protocol.Unavailable {
		t.Errorf("a message to a room that is away: %q", code)
	}
	for _, rooms := range [][]string{{other}, {home, other}} {
		move := &chat.Move{Actor: chat.Actor{User: here}, Field: "room"}
		for _, room := range rooms {
			move.Rooms = append(move.Rooms, chat.RoomCursor{Room: room, Read: 1})
		}
		moved := make(chan *protocol.Error, 1)
		s.Move(move, func(_ []chat.CursorRow, err *protocol.Error) { moved <- err })
		if err := <-moved; err == nil || err.Code != protocol.Unavailable {
			t.Errorf("cursors in %v: %v", rooms, err)
		}
	}
	if _, err := s.Events(t.Context(), other, 0, 10); !isUnavailable(err) {
		t.Errorf("the events of a room that is away: %v", err)
	}
	n.knowsOfOthersOnly(t, here, there, home, other)
	if _, err := s.Open(t.Context(), &auth.Session{ID: "s", User: there, Device: "d", Node: "n"}); !isUnavailable(err) {
		t.Errorf("a session of a user who is away: %v", err)
	}
	if len(s.Stores()) != 1 || s.Stats().Transactions == 0 {
		t.Errorf("%d stores, %+v", len(s.Stores()), s.Stats())
	}
	for _, status := range s.Status() {
		if status.Away != (status.Name == "shard1") || status.Slots != slots.Count/2 {
			t.Errorf("%+v", status)
		}
	}
	select {
	case <-n.moved:
		t.Error("it is to be opened anew while the shard is away")
	default:
	}

	p.other.Start()
	n = p.reopen(t, n)
	defer n.close(t)
	if n.store.Epoch() != epoch {
		t.Errorf("the epoch is %s, and was %s", n.store.Epoch(), epoch)
	}
	n.say(t, here, other, "2", "x")
	if list, err := n.store.Revocations(t.Context()); err != nil {
		t.Errorf("revocations: %v, %v", list, err)
	}
	if _, err := n.store.Invisible(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// knowsOfOthersOnly checks what is asked of all shards, and told to all, while one is away.
func (n *node) knowsOfOthersOnly(t *testing.T, here, there, home, other string) {
	t.Helper()
	s, ctx := n.store, t.Context()
	_, err := s.Revocations(ctx)
	if partial, ok := errors.AsType[*auth.PartialError](err); !ok || !partial.Unanswered(there) || partial.Unanswered(here) {
		t.Errorf("revocations: %v", err)
	}
	_, err = s.Invisible(ctx, nil)
	if partial, ok := errors.AsType[*chat.PartialError](err); !ok || !partial.Unanswered(there) || partial.Unanswered(here) {
		t.Errorf("who is invisible: %v", err)
	}
	places, err := s.Places(ctx, here, nil)
	if partial, ok := errors.AsType[*chat.PartialError](err); !ok || !partial.Unanswered(other) || partial.Unanswered(home) || len(places) != 1 {
		t.Errorf("places: %v, %v", places, err)
	}
	page, err := s.List(ctx, here, chat.InboxQuery{Limit: 10})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Scene.Room.ID != home {
		t.Errorf("the list: %v, %v", page, err)
	}
	pairs := []presence.Pair{{Viewer: there, User: there}, {Viewer: here, User: here}}
	if seen, err := s.Visible(ctx, pairs); err != nil || len(seen) != 1 || seen[pairs[1]].Status == "" {
		t.Errorf("who is seen: %v, %v", seen, err)
	}
	if _, err := s.Traces(ctx, here, "", 10); !isUnavailable(err) {
		t.Errorf("what is to be erased: %v", err)
	}
	if changes, err := s.Changed(ctx, ""); err != nil || !strings.Contains(string(changes.Position), ",1=") {
		t.Errorf("what has changed: %v, %v", changes, err)
	}
	_, announced := s.AnnounceNode(ctx, &cluster.Node{ID: "n"})
	if err := errors.Join(announced, s.Beat(ctx, "n"), s.Lost(ctx, "n"), s.End(ctx, []string{"s"}), s.KeepCheckpoints(ctx, "n"), s.WithdrawNode(ctx, "n"), s.Ping(ctx)); err != nil {
		t.Error(err)
	}
}

func isUnavailable(err error) bool {
	pe, ok := errors.AsType[*protocol.Error](err)
	return ok && pe.Code == protocol.Unavailable
}

// TestWhatWasReadHolds: of a shard that goes away later it is known who was revoked, and who is invisible.
func TestWhatWasReadHolds(t *testing.T) {
	p := part(t)
	n := p.mustOpen(t)
	defer n.close(t)
	there := at(false)
	if err := n.store.Ensure(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	if _, err := n.store.Revoke(t.Context(), there, "", "", 7); err != nil {
		t.Fatal(err)
	}
	if err := n.store.SetStatus(t.Context(), there, protocol.StatusInvisible, 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		revoked, err := n.store.Revocations(t.Context())
		if want := []auth.Revocation{{User: there, NotBefore: 7}}; err != nil || !slices.Equal(revoked, want) {
			t.Errorf("revoked are %v, %v", revoked, err)
		}
		hidden, err := n.store.Invisible(t.Context(), nil)
		if err != nil || !slices.Equal(hidden, []string{there}) {
			t.Errorf("invisible are %v, %v", hidden, err)
		}
		p.other.Stop(testkit.Immediate)
	}
	p.other.Start()
}

// TestShardComesBackAsAnother: what is another copy than the one that was remembered has its rooms reset, and nobody else's; and that is what is remembered.
func TestShardComesBackAsAnother(t *testing.T) {
	p := part(t)
	before := p.mustOpen(t)
	home, other := before.inBoth(t, at(true))
	epoch := before.store.Epoch()
	before.close(t)
	exec(t, p.connect(t)[1], `UPDATE meta SET value = 'another' WHERE name = 'epoch'`)
	p.other.Stop(testkit.Immediate)

	n := p.mustOpen(t)
	if n.store.Epoch() != epoch {
		t.Errorf("the epoch is %s before anybody can know better, and was %s", n.store.Epoch(), epoch)
	}
	p.other.Start()
	n = p.reopen(t, n)
	another := n.store.Epoch()
	if n.store.Stands(epoch, other) || !n.store.Stands(epoch, home) {
		t.Error("positions from before stand in the room that was lost, or not in the other")
	}
	n.close(t)
	p.other.Stop(testkit.Immediate)
	n = p.mustOpen(t)
	defer n.close(t)
	if n.store.Epoch() != another {
		t.Errorf("the epoch is %s, and was %s", n.store.Epoch(), another)
	}
}

// TestShardIsAnothers: a shard that answers and is not what it is taken for is an error, and no reason to end what runs without it.
func TestShardIsAnothers(t *testing.T) {
	p := part(t)
	p.mustOpen(t).close(t)
	dbs := p.connect(t)
	secret := rows(t, dbs[1], `SELECT value FROM meta WHERE name = 'secret'`)[0]
	exec(t, dbs[1], `UPDATE meta SET value = repeat('0', 64) WHERE name = 'secret'`)
	refused := func(words string) {
		t.Helper()
		if n, err := p.open(t); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("opened: %v", err)
			if err == nil {
				n.close(t)
			}
		}
	}
	refused("belongs to another deployment")
	p.other.Stop(testkit.Immediate)
	n := p.mustOpen(t)
	p.other.Start()
	n.lines.tells("cannot be used", "another deployment")
	db := p.connect(t)[1]
	exec(t, db, `UPDATE meta SET value = $1 WHERE name = 'secret'`, secret)
	p.reopen(t, n).close(t)

	exec(t, db, `UPDATE goose_db_version SET version_id = version_id + 1000`)
	refused("written by a newer Parley")
	exec(t, db, `UPDATE goose_db_version SET version_id = version_id - 1000`)
	exec(t, db, `UPDATE ownership SET name = 'shard7'`)
	refused("is the shard shard7")
}

// TestShardNobodyKnows: without the epoch of a shard there is nothing to tell clients.
func TestShardNobodyKnows(t *testing.T) {
	p := part(t)
	p.other.Stop(testkit.Immediate)
	if n, err := p.open(t); err == nil || !strings.Contains(err.Error(), "no server has ever opened it") {
		t.Errorf("opened without a shard that was never opened: %v", err)
		if err == nil {
			n.close(t)
		}
	}
}

// TestShardDoesNotAnswer: one that takes connections and says nothing is away, soon enough; so is one that is a standby, or takes no writes.
func TestShardDoesNotAnswer(t *testing.T) {
	p := part(t)
	p.mustOpen(t).close(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	real, replica := p.others["shard1"], p.other.Replica().URL
	database := real[strings.LastIndex(real, "/")+1 : strings.Index(real, "?")]
	p.other.Do("ALTER DATABASE " + database + " SET default_transaction_read_only = on")
	for what, url := range map[string]string{
		"it is silent":                "postgres://postgres@" + l.Addr().String() + "/x",
		"it is silent, and pooled":    "postgres://postgres@" + l.Addr().String() + "/x?pool_max_conns=20",
		"its machine is not there":    "postgres://postgres@shard1.invalid/x",
		"it follows the one it was":   strings.Replace(replica, "/postgres?", "/"+database+"?", 1),
		"it takes no writes":          real,
		"nobody listens at its place": "postgres://postgres@127.0.0.1:1/x",
	} {
		p.others["shard1"] = url
		n, err := p.open(t)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if len(n.store.Stores()) != 1 {
			t.Errorf("%s: it is there", what)
		}
		n.close(t)
	}
	p.others["shard1"] = strings.Replace(real, "/test", "/nothing", 1)
	if n, err := p.open(t); err == nil {
		n.close(t)
		t.Error("opened, where there is no such database")
	}
}
