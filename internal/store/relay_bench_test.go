package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
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

// BenchmarkRelay measures what the relay costs a log that is kept busy: 256 senders in 100 rooms, with messages of ten words.
func BenchmarkRelay(b *testing.B) {
	engines := map[string]func(testing.TB) string{
		"SQLite":     func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "parley.db") },
		"PostgreSQL": func(t testing.TB) string { return testkit.StartPostgres(t).Database(t) },
	}
	for engine, database := range engines {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/relay=%v", engine, with), func(b *testing.B) { benchmarkRelay(b, database(b), with) })
		}
	}
}

func benchmarkRelay(b *testing.B, url string, with bool) {
	wake := func() {}
	s, err := store.Open(b.Context(), store.Options{URL: url, Committed: func(*chat.Commit) { wake() }})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	core := chat.NewService(chat.Ports{Log: s, Snapshots: s, Inbox: s, Search: s, Desk: s, Users: s, Names: s},
		chat.Options{Epoch: s.Epoch, Key: make([]byte, 32), Now: time.Now})
	rooms := make([]string, 100)
	ann := chat.Actor{User: "ann"}
	if err := s.Ensure(b.Context(), "ann"); err != nil {
		b.Fatal(err)
	}
	for i := range rooms {
		made, err := core.CreateRoom(b.Context(), ann, &protocol.RoomCreateParams{Kind: protocol.Group, ClientID: fmt.Sprint(i)})
		if err != nil {
			b.Fatal(err)
		}
		rooms[i] = made.Room.ID
	}
	r := relay.New(relay.Options{Source: s, Node: "n1"})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if with {
		wake = r.Wake
		running.Go(func() { r.Run(ctx) })
	}
	b.ResetTimer()
	var sent atomic.Int64
	var senders sync.WaitGroup
	for range 256 {
		senders.Go(func() {
			for {
				n := sent.Add(1)
				if n > int64(b.N) {
					return
				}
				p := &protocol.MessageSendParams{Room: rooms[rand.IntN(len(rooms))], ClientID: fmt.Sprint("m", n), Text: tenWords()}
				if _, err := core.Do(context.Background(), ann, protocol.MessageSend, p); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	if with {
		b.ReportMetric(float64(r.Stats().Applied)/b.Elapsed().Seconds(), "applied/s")
		b.ReportMetric(float64(r.Stats().Lag.Milliseconds()), "lag-ms")
	}
	cancel()
	running.Wait()
}

// tenWords are words of which some are common and most are rare.
func tenWords() string {
	words := make([]string, 10)
	for i := range words {
		f := rand.Float64()
		words[i] = fmt.Sprintf("w%x", int(f*f*f*20_000)*7919)
	}
	return strings.Join(words, " ")
}
