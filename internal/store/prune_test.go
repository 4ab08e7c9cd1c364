package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// TestStalePlans carries out what was planned before another node was quicker.
func TestStalePlans(t *testing.T) {
	engines := map[string]func(t *testing.T) string{
		"SQLite":     func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "parley.db") },
		"PostgreSQL": func(t *testing.T) string { return testkit.StartPostgres(t, "fsync=off").Database(t) },
	}
	for engine, database := range engines {
		t.Run(engine, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			s, err := Open(t.Context(), Options{URL: database(t), Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			room, call := agingRoom(t, s)
			apply := func(upTo protocol.Seq) {
				t.Helper()
				behind, err := s.Behind(t.Context(), relay.Share{room[2:3]}, "", 1)
				if err == nil {
					_, err = s.Apply(t.Context(), []relay.Span{{Room: room, After: behind[0].Mark, UpTo: upTo}})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range []string{"two", "three", "four"} {
				call(protocol.MessageSend, &protocol.MessageSendParams{Room: room, ClientID: text, Text: text})
				now = now.Add(time.Hour)
			}
			apply(4)
			now = now.Add(22 * time.Hour) // 1 and 2 are too old
			call(protocol.MessageEdit, &protocol.MessageEditParams{Room: room, Seq: 2, Text: protocol.Some("again")})

			// An edit was read by the relay, and its message was pruned before it got into the index.
			spans, documents, err := s.prepare(t.Context(), []relay.Span{{Room: room, After: 4, UpTo: 5}})
			if err != nil || len(documents) != 1 {
				t.Fatal(documents, err)
			}
			early, err := s.plan(t.Context(), room)
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour) // and 3
			if batch, err := s.Prune(t.Context(), room); err != nil || batch.Events != 3 {
				t.Fatal(batch, err)
			}
			if err := s.applyPrepared(t.Context(), spans, documents); !errors.Is(err, relay.ErrOvertaken) {
				t.Errorf("words of a pruned message: %v", err)
			}
			apply(5)

			// A sweep that had planned less comes after one that took more.
			if batch, err := s.carryOut(t.Context(), early); err != nil || batch.Events != 0 || !batch.More {
				t.Errorf("a plan of which nothing is left: %+v, %v", batch, err)
			}
			// Whoever wanted the room to keep more since is heard.
			now = now.Add(time.Hour)
			late, err := s.plan(t.Context(), room)
			if err != nil || len(late.expired) != 1 {
				t.Fatal(late, err)
			}
			call(protocol.RoomUpdate, &protocol.RoomUpdateParams{Room: room, Settings: protocol.Some(protocol.SettingsPatch{RetentionDays: protocol.Some[int64](0)})})
			if batch, err := s.carryOut(t.Context(), late); err != nil || batch.Events != 0 {
				t.Errorf("with other settings: %+v, %v", batch, err)
			}
			err = s.View(t.Context(), room, "ann", func(sc *chat.Scene, snap chat.Snapshot) error {
				messages, _, err := snap.Messages(t.Context(), chat.MessageQuery{From: 1, Limit: 10})
				if sc.Room.First != 4 || len(messages) != 1 {
					t.Errorf("first is %d, and %d messages are left", sc.Room.First, len(messages))
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// agingRoom is a room that keeps its events for a day, and what carries out a call of its owner.
func agingRoom(t *testing.T, s *Store) (room string, call func(method string, params any)) {
	t.Helper()
	core := chat.NewService(chat.Ports{Log: s, Snapshots: s, Inbox: s, Search: s, Desk: s, Users: s, Names: s},
		chat.Options{Epoch: s.Epoch, Key: make([]byte, 32), Now: s.now})
	if err := s.Ensure(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	ann, keep := chat.Actor{User: "ann"}, protocol.SettingsPatch{RetentionDays: protocol.Some[int64](1)}
	made, refused := core.CreateRoom(t.Context(), ann, &protocol.RoomCreateParams{Kind: protocol.Group, Settings: &keep})
	if refused != nil {
		t.Fatal(refused)
	}
	return made.Room.ID, func(method string, params any) {
		t.Helper()
		if _, err := core.Do(context.Background(), ann, method, params); err != nil {
			t.Fatal(err)
		}
	}
}
