package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// TestPostgreSQLCrash crashes the server again and again while messages are sent, each until it has an answer: what was answered is there, once.
func TestPostgreSQLCrash(t *testing.T) {
	const crashes, writers, apart = 3, 6, 60
	server := testkit.StartPostgres(t, "recovery_init_sync_method=syncfs") // quicker than file by file
	s, err := store.Open(t.Context(), store.Options{URL: server.Database(t), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	core := chat.NewService(chat.Ports{Log: s, Snapshots: s, Inbox: s, Desk: s, Users: s, Names: s},
		chat.Options{Epoch: s.Epoch, Key: make([]byte, 32), Now: time.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ann := chat.Actor{User: "ann"}
	room, refused := core.CreateRoom(t.Context(), ann, &protocol.RoomCreateParams{Kind: protocol.Group})
	if refused != nil {
		t.Fatal(refused)
	}

	var answered sync.Map // client_id → seq
	sent, stop := make(chan struct{}, 1024), atomic.Bool{}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := 0; !stop.Load(); i++ {
				p := &protocol.MessageSendParams{Room: room.Room.ID, ClientID: fmt.Sprintf("%d-%d", w, i), Text: "x"}
				result, err := core.Do(context.Background(), ann, protocol.MessageSend, p)
				for err != nil && err.Code == protocol.Unavailable {
					result, err = core.Do(context.Background(), ann, protocol.MessageSend, p)
				}
				if err != nil {
					t.Errorf("a definite refusal: %v", err)
					return
				}
				answered.Store(p.ClientID, result.(protocol.MessageSendResult).Seq)
				select {
				case sent <- struct{}{}:
				default:
				}
			}
		})
	}
	for range crashes {
		for range apart {
			<-sent
		}
		server.Stop(testkit.Immediate)
		err := s.View(t.Context(), room.Room.ID, "ann", func(*chat.Scene, chat.Snapshot) error { return nil })
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != protocol.Unavailable || e.RetryAfterMS == 0 {
			t.Errorf("without a server: %v", err)
		}
		server.Start()
	}
	stop.Store(true)
	group.Wait()

	events, err := s.Events(t.Context(), room.Room.ID, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]protocol.Seq{}
	for i, e := range events {
		if e.Seq != protocol.Seq(i+1) {
			t.Fatalf("event %d has seq %d", i+1, e.Seq)
		}
		if _, twice := stored[e.ClientID]; twice {
			t.Errorf("%s is there twice", e.ClientID)
		}
		stored[e.ClientID] = e.Seq
	}
	count := 0
	answered.Range(func(id, seq any) bool {
		if count++; stored[id.(string)] != seq {
			t.Errorf("%s was answered with %d, and is at %d", id, seq, stored[id.(string)])
		}
		return true
	})
	if count != len(events)-1 {
		t.Errorf("%d messages were answered, %d are there", count, len(events)-1)
	}
	t.Logf("%d messages, %d crashes", count, crashes)
}
