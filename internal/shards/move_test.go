package shards_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// node is one server's store and core.
type node struct {
	store *shards.Store
	core  *chat.Service
}

func (d *deployment) node(t testing.TB) *node {
	t.Helper()
	s, err := shards.Open(t.Context(), shards.Options{Home: d.home, Others: d.others, Store: store.Options{Log: silent()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return nodeOf(s)
}

func nodeOf(s *shards.Store) *node {
	return &node{s, chat.NewService(chat.Ports{Log: s, Snapshots: s, Inbox: s, Search: s, Desk: s, Users: s, Names: s},
		chat.Options{Epoch: s.Epoch, Stands: s.Stands, Key: make([]byte, 32), Now: time.Now, Logger: silent()})}
}

// do carries out a call, again while it is unavailable.
func do[R any](t testing.TB, n *node, user, method string, params any) (R, *protocol.Error) {
	for {
		result, err := n.core.Do(context.Background(), chat.Actor{User: user}, method, params)
		if err == nil {
			return result.(R), nil
		}
		if err.Code != protocol.Unavailable {
			var none R
			return none, err
		}
	}
}

// must is do for a call that is not refused.
func must[R any](t testing.TB, n *node, user, method string, params any) R {
	result, err := do[R](t, n, user, method, params)
	if err != nil {
		t.Errorf("%s by %s: %v", method, user, err)
	}
	return result
}

// life is what was acknowledged in one room, by one writer.
type life struct {
	room  string
	sent  map[protocol.Seq]string // client_id
	text  map[protocol.Seq]string // as it was last sent or edited to; "" where it was deleted
	liked map[protocol.Seq]bool
	read  protocol.Seq
	heard protocol.Seq // the head that the reader's list has told of
}

// TestMoveUnderLoad moves slots there and back, killed at every point on the way, while two nodes write: nothing that was acknowledged is lost, doubled or out
// of its place, and who asks what has changed hears of everything.
func TestMoveUnderLoad(t *testing.T) {
	server := testkit.StartPostgres(t, "fsync=off", "autovacuum=off", "max_connections=400")
	d := deploy(t, server, 2)
	nodes := []*node{d.node(t), d.node(t)}
	const writers = 6
	lives := make([]*life, writers)
	users := func(w int) (writer, reader string) { return fmt.Sprintf("writer%d", w), fmt.Sprintf("reader%d", w) }
	var list []int
	for w := range writers {
		writer, reader := users(w)
		if err := nodes[0].store.Ensure(t.Context(), writer, reader); err != nil {
			t.Fatal(err)
		}
		created, err := nodes[0].core.CreateRoom(t.Context(), chat.Actor{User: writer}, &protocol.RoomCreateParams{Kind: protocol.Group, Members: []string{reader}, ClientID: "c"})
		if err != nil {
			t.Fatal(err)
		}
		lives[w] = &life{created.Room.ID, map[protocol.Seq]string{}, map[protocol.Seq]string{}, map[protocol.Seq]bool{}, 0, 0}
		list = append(list, slots.Room(created.Room.ID), slots.User(writer), slots.User(reader))
	}
	slices.Sort(list)
	list = slices.Compact(list)

	var over, written atomic.Bool
	var group, watchers sync.WaitGroup
	for w, l := range lives {
		group.Go(func() { l.write(t, nodes, w, users, &over) })
		watchers.Go(func() { watchInbox(t, nodes[w%2], users, w, l, &written) })
	}
	kills, paused := moveAbout(t, d, list)
	over.Store(true)
	group.Wait()
	written.Store(true)
	watchers.Wait()
	t.Logf("%d slots moved three times, killed %d times; writes paused for at most %v", len(list), kills, paused)
	events := 0
	for w, l := range lives {
		_, reader := users(w)
		events += l.check(t, nodes[w%2], reader)
	}
	t.Logf("%d events", events)
	for n, s := range nodes[0].store.Stores() {
		o, err := s.Owned(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, slot := range list {
			if want := n == "shard1"; o.Reads.Has(slot) != want || o.Writes.Has(slot) != want || o.Upkeep.Has(slot) != want {
				t.Errorf("slot %d at %s: reads %v, writes %v, upkeep %v", slot, n, o.Reads.Has(slot), o.Writes.Has(slot), o.Upkeep.Has(slot))
			}
		}
	}
}

// moveAbout moves slots to the other shard, back, and there again, by movers most of which are killed.
func moveAbout(t *testing.T, d *deployment, list []int) (kills int, paused time.Duration) {
	t.Helper()
	killAt := func() func(int, string) error {
		left := rand.IntN(60)
		return func(int, string) error {
			if left--; left < 0 {
				return errors.New("by the test")
			}
			return nil
		}
	}
	for _, to := range []string{"shard1", store.Home, "shard1"} {
		for finished := false; !finished; {
			o := shards.MoverOptions{Home: d.home, Others: d.others, Log: silent(), Settle: 200 * time.Millisecond, Told: func(p shards.Progress) { paused = max(paused, p.Paused) }}
			if kills < 40 {
				o.At = killAt()
			}
			m, err := shards.OpenMover(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			err = m.Move(t.Context(), list, to)
			if finished = err == nil; !finished {
				if kills++; !strings.Contains(err.Error(), "by the test") {
					t.Error(err)
					finished = true
				}
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	return kills, paused
}

// write sends, edits, deletes, reacts and reads until it is over.
func (l *life) write(t *testing.T, nodes []*node, w int, users func(int) (string, string), over *atomic.Bool) {
	writer, reader := users(w)
	r := rand.New(rand.NewPCG(uint64(w), 1))
	var seqs []protocol.Seq
	for i := 0; !over.Load() && !t.Failed(); i++ {
		n := nodes[r.IntN(len(nodes))]
		id := fmt.Sprintf("m%d", i)
		sent := must[protocol.MessageSendResult](t, n, writer, protocol.MessageSend, &protocol.MessageSendParams{Room: l.room, ClientID: id, Text: "text " + id, Mentions: []string{reader}})
		if l.sent[sent.Seq] != "" {
			t.Errorf("seq %d is answered twice", sent.Seq)
		}
		l.sent[sent.Seq], l.text[sent.Seq] = id, "text "+id
		seqs = append(seqs, sent.Seq)
		at := seqs[r.IntN(len(seqs))]
		if l.text[at] == "" {
			continue
		}
		switch r.IntN(4) {
		case 0:
			must[protocol.SeqResult](t, n, writer, protocol.MessageEdit, &protocol.MessageEditParams{Room: l.room, Seq: at, Text: protocol.Some("edited " + id)})
			l.text[at] = "edited " + id
		case 1:
			must[protocol.SeqResult](t, n, writer, protocol.MessageDelete, &protocol.MessageParams{Room: l.room, Seq: at})
			l.text[at], l.liked[at] = "", false
		case 2:
			method := protocol.ReactionAdd
			if l.liked[at] {
				method = protocol.ReactionRemove
			}
			must[protocol.SeqResult](t, n, reader, method, &protocol.ReactionParams{Room: l.room, Seq: at, Emoji: "👍"})
			l.liked[at] = !l.liked[at]
		case 3:
			got := must[protocol.ReceiptReadResult](t, n, reader, protocol.ReceiptRead, &protocol.ReceiptReadParams{Room: l.room, Seq: at})
			if got.Read < l.read {
				t.Errorf("a cursor went back from %d to %d", l.read, got.Read)
			}
			l.read = got.Read
		}
	}
}

// watchInbox asks what has changed, on and on: in the end it has heard of everything.
func watchInbox(t *testing.T, n *node, users func(int) (string, string), w int, l *life, over *atomic.Bool) {
	_, reader := users(w)
	token := ""
	for last := false; !last && !t.Failed(); {
		last = over.Load()
		list, refused := n.core.ListRooms(context.Background(), chat.Actor{User: reader}, &protocol.RoomListParams{Since: token})
		if refused != nil {
			t.Errorf("room.list: %v", refused)
			return
		}
		token = list.Token
		for _, entry := range list.Rooms {
			l.heard = max(l.heard, entry.Head)
		}
		if len(list.Removed) > 0 {
			t.Errorf("%s has left %v", reader, list.Removed)
		}
	}
}

// check holds what is stored against what was acknowledged.
func (l *life) check(t *testing.T, n *node, reader string) (count int) {
	t.Helper()
	events, err := n.store.Events(t.Context(), l.room, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if l.heard != protocol.Seq(len(events)) {
		t.Errorf("%s: the list has told of %d events of %d", l.room, l.heard, len(events))
	}
	ids := map[string]bool{}
	for i, e := range events {
		if e.Seq != protocol.Seq(i+1) {
			t.Fatalf("%s: event %d has seq %d", l.room, i+1, e.Seq)
		}
		if e.Name == protocol.MessageCreated {
			if ids[e.ClientID] {
				t.Errorf("%s: %s is there twice", l.room, e.ClientID)
			}
			ids[e.ClientID] = true
			if l.sent[e.Seq] != e.ClientID {
				t.Errorf("%s: seq %d is %s, and was answered to %q", l.room, e.Seq, e.ClientID, l.sent[e.Seq])
			}
		}
	}
	if len(ids) != len(l.sent) {
		t.Errorf("%s: %d messages, %d were acknowledged", l.room, len(ids), len(l.sent))
	}
	err = n.store.View(t.Context(), l.room, reader, func(sc *chat.Scene, snap chat.Snapshot) error {
		if sc.Head.Seq != protocol.Seq(len(events)) || sc.Me == nil || sc.Me.Read != l.read {
			t.Errorf("%s: head %d of %d events, read %d, acknowledged %d", l.room, sc.Head.Seq, len(events), sc.Me.Read, l.read)
		}
		messages, _, err := snap.Messages(t.Context(), chat.MessageQuery{From: 1, Limit: 1_000_000})
		for _, m := range messages {
			text := ""
			if m.Content.Text != nil {
				text = *m.Content.Text
			}
			if text != l.text[m.Seq] || (len(m.Reactions) == 1) != l.liked[m.Seq] {
				t.Errorf("%s: message %d is %q with %v, acknowledged were %q, %v", l.room, m.Seq, text, m.Reactions, l.text[m.Seq], l.liked[m.Seq])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

// TestEpochOfMovedRooms: positions in a room that has moved once stand if both shards are what they were, and those in other rooms if theirs is.
func TestEpochOfMovedRooms(t *testing.T) {
	server := testkit.StartPostgres(t, "fsync=off")
	d := deploy(t, server, 2)
	n := d.node(t)
	room, stays := "r_00", "r_zz" // the first slot and the last one
	before := n.store.Epoch()
	move := func(to string) {
		t.Helper()
		m, err := shards.OpenMover(t.Context(), shards.MoverOptions{Home: d.home, Others: d.others, Log: silent(), Settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.Move(t.Context(), []int{slots.Room(room)}, to), m.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := n.store.Heads(t.Context(), []string{room}); err != nil { // which has the map read again
			t.Fatal(err)
		}
	}
	move("shard1")
	once := n.store.Epoch()
	parts := strings.Split(before, "~")
	other := func(part int) string {
		changed := slices.Clone(parts)
		changed[part] = changed[part][:2] + "0123456789"
		return strings.Join(changed, "~")
	}
	for _, tt := range []struct {
		name, epoch, room string
		want              bool
	}{
		{"the present one", once, room, true},
		{"from before the move", before, room, true},
		{"from before the move, another room", before, stays, true},
		{"another home, a room that came from there", other(1), room, false},
		{"another home, a room that never was there", other(1), stays, true},
		{"another shard, a room that never was there", other(2), room, true},
		{"another shard, a room that is there", other(2), stays, false},
		{"another shard, everything", other(2), "", false},
		{"everything", before, "", true},
		{"of a store that is alone", "e1f0.42", room, false},
	} {
		if got := n.store.Stands(tt.epoch, tt.room); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	for _, tt := range []struct {
		room        string
		now, before string
	}{{room, parts[2][2:], parts[1][2:]}, {stays, parts[2][2:], ""}, {"", parts[1][2:], ""}} {
		now, left := n.store.Life(tt.room)
		if shards.Part(now) != tt.now || left != "" && shards.Part(left) != tt.before || (left == "") != (tt.before == "") {
			t.Errorf("the life of %q is %s, and was %s", tt.room, now, left)
		}
	}
	move(store.Home)
	if n.store.Stands(before, room) || !n.store.Stands(once, room) {
		t.Errorf("after two moves: the epoch before both stands: %v; between them: %v", n.store.Stands(before, room), n.store.Stands(once, room))
	}
}
