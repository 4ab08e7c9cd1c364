package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// BenchmarkMessages measures the newest 50 messages of rooms with so many reactions for each: events that are no messages are passed over one by one. An index
// of the messages alone gained nothing: with nine reactions for each, counting them is what takes the time (SQLite 2 ms, PostgreSQL 4 ms once it has analysed).
func BenchmarkMessages(b *testing.B) {
	for engine, s := range benchStores(b, time.Now) {
		for _, reactions := range []int{0, 9} {
			room := reactedRoom(b, s, 2_000, reactions)
			b.Run(fmt.Sprintf("%s/reactions=%d", engine, reactions), func(b *testing.B) {
				for b.Loop() {
					err := s.View(b.Context(), room, "ann", func(_ *chat.Scene, snap chat.Snapshot) error {
						_, _, err := snap.Messages(b.Context(), chat.MessageQuery{From: 1, Limit: 50})
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkPrune measures batches of the retention sweep, for each of which the log of that room waits, and on SQLite every log.
func BenchmarkPrune(b *testing.B) {
	var late atomic.Int64
	for engine, s := range benchStores(b, func() time.Time { return time.Now().Add(time.Duration(late.Load())) }) {
		b.Run(engine, func(b *testing.B) {
			late.Store(int64(-48 * time.Hour))
			room := reactedRoom(b, s, 5_000, 1)
			late.Store(0)
			for mark := protocol.Seq(0); mark < 10_001; {
				events, err := s.Apply(b.Context(), []relay.Span{{Room: room, After: mark, UpTo: 10_001}})
				if err != nil {
					b.Fatal(err)
				}
				mark += protocol.Seq(events)
			}
			batches, longest := 0, time.Duration(0)
			b.ResetTimer()
			for more := true; more; batches++ {
				began := time.Now()
				batch, err := s.Prune(b.Context(), room)
				if err != nil {
					b.Fatal(err)
				}
				more, longest = batch.More, max(longest, time.Since(began))
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(batches), "ms/batch")
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
		})
	}
}

// benchStores are an open store of each engine.
func benchStores(b *testing.B, now func() time.Time) map[string]*store.Store {
	b.Helper()
	stores := map[string]*store.Store{}
	for engine, url := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(b.TempDir(), "parley.db"), "PostgreSQL": testkit.StartPostgres(b).Database(b),
	} {
		s, err := store.Open(b.Context(), store.Options{URL: url, Now: now})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		stores[engine] = s
	}
	return stores
}

// reactedRoom is a room in which each of so many messages was reacted to so often, by users who come to the end of the room in turn.
func reactedRoom(b *testing.B, s *store.Store, messages, reactions int) string {
	b.Helper()
	core := chat.NewService(chat.Ports{Log: s, Snapshots: s, Inbox: s, Search: s, Desk: s, Users: s, Names: s},
		chat.Options{Epoch: s.Epoch, Key: make([]byte, 32), Now: time.Now})
	if err := s.Ensure(b.Context(), "ann"); err != nil {
		b.Fatal(err)
	}
	ann, keep := chat.Actor{User: "ann"}, protocol.SettingsPatch{RetentionDays: protocol.Some[int64](1)}
	made, refused := core.CreateRoom(b.Context(), ann, &protocol.RoomCreateParams{Kind: protocol.Group, Settings: &keep})
	if refused != nil {
		b.Fatal(refused)
	}
	room := made.Room.ID
	var waiting sync.WaitGroup
	submit := func(method string, params any) {
		waiting.Add(1)
		core.Submit(context.Background(), ann, method, params, func(_ any, err *protocol.Error) {
			if err != nil {
				b.Error(err)
			}
			waiting.Done()
		})
	}
	for m := range messages {
		seq := protocol.Seq(2 + m*(1+reactions))
		submit(protocol.MessageSend, &protocol.MessageSendParams{Room: room, ClientID: fmt.Sprint(m), Text: "a text of the usual length, or a little more"})
		for r := range reactions {
			submit(protocol.ReactionAdd, &protocol.ReactionParams{Room: room, Seq: seq, Emoji: fmt.Sprint(r)})
		}
		if m%20 == 0 {
			waiting.Wait()
		}
	}
	waiting.Wait()
	return room
}
