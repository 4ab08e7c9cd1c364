package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// hollow is a session that costs nothing.
type hollow struct{ user string }

func (s *hollow) ID() string                                  { return s.user }
func (s *hollow) User() string                                { return s.user }
func (s *hollow) Offer(*delivery.Batch) bool                  { return true }
func (s *hollow) Push(*delivery.Batch)                        {}
func (s *hollow) Added(*delivery.Batch, string, protocol.Seq) {}

// places is a store in which every user is a member of the same rooms, all of which are at seq 1.
type places struct {
	delivery.Source
	rooms []chat.Place
}

func newPlaces(rooms int) *places {
	p := &places{}
	for i := range rooms {
		p.rooms = append(p.rooms, chat.Place{Room: fmt.Sprintf("r_abcdefghijklmnopqrstuvw%08d", i), Kind: protocol.Group, Head: 1, JoinedSeq: 1, From: 1})
	}
	return p
}

func (p *places) Places(context.Context, string, []string) ([]chat.Place, error) { return p.rooms, nil }

func (p *places) Heads(_ context.Context, rooms []string) (map[string]protocol.Seq, error) {
	heads := make(map[string]protocol.Seq, len(rooms))
	for _, r := range rooms {
		heads[r] = 1
	}
	return heads, nil
}

func benchHub(b *testing.B, rooms, sessions int) (*delivery.Hub, *places) {
	p := newPlaces(rooms)
	h := delivery.New(delivery.Options{Source: p, Node: "bench"})
	h.Start(context.Background())
	b.Cleanup(h.Stop)
	for i := range sessions {
		if _, err := h.Enter(context.Background(), &delivery.Entry{Sink: &hollow{fmt.Sprint("u", i)}, All: true, Ready: func() {}}); err != nil {
			b.Fatal(err)
		}
	}
	return h, p
}

func message(room string, seq protocol.Seq) *chat.Event {
	return &chat.Event{Event: protocol.Event{
		Room: room, Seq: seq, Name: protocol.MessageCreated, User: "alice",
		Data: protocol.Raw(`{"client_id":"0123456789abcdef","n":1234,"text":"A message of ordinary length, as people write them to each other."}`),
	}}
}

// BenchmarkFanOut is one message to a room of 400 and of 3 sessions (more than that would gather), alone and with 63 others in its commit; ns/delivery is the whole cost of one.
func BenchmarkFanOut(b *testing.B) {
	for _, sessions := range []int{3, 400} {
		for _, burst := range []int{1, 64} {
			b.Run(fmt.Sprintf("sessions=%d/burst=%d", sessions, burst), func(b *testing.B) {
				h, p := benchHub(b, 1, sessions)
				room, seq := p.rooms[0].Room, protocol.Seq(1)
				b.ReportAllocs()
				for b.Loop() {
					c := &chat.Commit{}
					for range burst {
						seq++
						c.Events = append(c.Events, message(room, seq))
					}
					h.Committed(c)
					if err := h.Applied(context.Background(), room, seq); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*burst*sessions), "ns/delivery")
			})
		}
	}
}

// BenchmarkEnter is a session of a user with 200 rooms, none of which have moved.
func BenchmarkEnter(b *testing.B) {
	h, _ := benchHub(b, 200, 1)
	for b.Loop() {
		f, err := h.Enter(context.Background(), &delivery.Entry{Sink: &hollow{"u"}, All: true, Ready: func() {}})
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

// BenchmarkMemory prints what an idle room costs beside its id, and what following one costs. Run it with -benchtime 1x.
func BenchmarkMemory(b *testing.B) {
	for range b.N {
		const rooms, sessions = 100_000, 30
		p := newPlaces(rooms)
		h := delivery.New(delivery.Options{Source: p, Node: "bench"})
		h.Start(context.Background())
		empty := heap()
		enter := func(n int) {
			for range n {
				if _, err := h.Enter(context.Background(), &delivery.Entry{Sink: &hollow{"u"}, All: true, Ready: func() {}}); err != nil {
					b.Fatal(err)
				}
			}
		}
		enter(1)
		one := heap()
		enter(sessions)
		many := heap()
		following := float64(many-one) / (rooms * sessions)
		b.ReportMetric(float64(one-empty)/rooms, "B/room-with-one")
		b.ReportMetric(following, "B/following")
		h.Stop()
		runtime.KeepAlive(h)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkLeave is the end of one session of a room from which all of so many go: it is looked for in the room's list.
func BenchmarkLeave(b *testing.B) {
	for _, sessions := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			p := newPlaces(1)
			h := delivery.New(delivery.Options{Source: p, Node: "bench"})
			h.Start(context.Background())
			b.Cleanup(h.Stop)
			for b.Loop() {
				b.StopTimer()
				var all []*delivery.Follower
				for i := range sessions {
					f, err := h.Enter(context.Background(), &delivery.Entry{Sink: &hollow{fmt.Sprint("u", i)}, All: true, Ready: func() {}})
					if err != nil {
						b.Fatal(err)
					}
					all = append(all, f)
				}
				rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				b.StartTimer()
				for _, f := range all {
					f.Close()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*sessions), "ns/session")
		})
	}
}
