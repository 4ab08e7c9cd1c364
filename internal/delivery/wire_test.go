package delivery

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

func TestEventsSurviveTheWire(t *testing.T) {
	for _, want := range []*entry{
		{seq: 1, frame: []byte(`{}`)},
		{seq: 1 << 60, frame: []byte(`{"event":"message.deleted"}`), erases: true},
		{seq: 7, frame: []byte(`{}`), change: &change{joined: []string{"alice", "bob"}}},
		{seq: 8, frame: []byte(`{}`), change: &change{left: []string{"alice"}, reason: protocol.ReasonBanned}},
		{seq: 9, frame: []byte(`{}`), change: &change{deleted: true}},
		{seq: 10, frame: []byte(`{}`), rank: rankMessage},
		{seq: 12, frame: []byte(`{}`), rank: rankReaction},
		{seq: 11, frame: []byte(`{}`), sample: new(int64)},
	} {
		r := reader{rest: appendEvent(nil, want)}
		if diff := cmp.Diff(want, r.event(), cmp.AllowUnexported(entry{}, change{})); diff != "" {
			t.Errorf("(-sent +received):\n%s", diff)
		}
	}
	for _, bad := range []*entry{{seq: 0, frame: []byte(`{}`)}, {seq: 1, frame: []byte("{}\n{}")}} {
		r := reader{rest: appendEvent(nil, bad)}
		if e := r.event(); e != nil {
			t.Errorf("%+v was received as %+v", bad, e)
		}
	}
}

// The version before this one sends and hears just this.
func TestTheEnvelopeIsWhatItWas(t *testing.T) {
	h := New(Options{Node: "a", Epoch: func() string { return "e1f0.42" }})
	if got, want := string(h.envelope(kindSessions, "", 0)), "\x05\x01a\x19\x0c\xfe\x34\xaa\xb5\xa6\x8f"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatIsSaidOfAnotherLifeIsDropped(t *testing.T) {
	said := func(epoch string) []byte {
		sender := New(Options{Node: "a", Epoch: func() string { return epoch }})
		return appendEvent(sender.envelope(kindEvent, "r", 0), &entry{seq: 3})
	}
	for _, c := range []struct {
		epoch, room string
		want        bool
	}{{"now", "r", true}, {"before", "r", true}, {"another", "r", false}, {"", "r", false}, {"before", "s", false}, {"", "s", false}} {
		h := New(Options{Node: "b", Life: func(room string) (now, before string) {
			if room == "r" {
				return "now", "before"
			}
			return "now", ""
		}})
		r := h.rooms.open(c.room)
		h.Receive(broker.Message{Room: c.room, Data: said(c.epoch)})
		if got := r.take() != nil; got != c.want {
			t.Errorf("said of %s in %q: heard is %v", c.room, c.epoch, got)
		}
	}
}

func TestReceiptsSurviveTheWire(t *testing.T) {
	want := []chat.CursorRow{
		{Room: "r", User: "alice", Session: "s1", Delivered: 5, Read: 3, Moved: true, Private: true},
		{Room: "r", User: "bob", Delivered: 1 << 40, Moved: true, Private: true},
	}
	r := reader{rest: appendReceipts(nil, true, want)}
	if diff := cmp.Diff(want, r.receipts("r")); diff != "" {
		t.Errorf("(-sent +received):\n%s", diff)
	}
}

// narrow is a broker that takes small messages only.
type narrow struct {
	broker.Live
	got [][]byte
}

func (n *narrow) Features() broker.Features        { return broker.Features{MaxMessage: 100} }
func (n *narrow) Publish(_ string, message []byte) { n.got = append(n.got, bytes.Clone(message)) }

func TestWhatIsTooLargeForTheBrokerIsOnlyAnnounced(t *testing.T) {
	live := &narrow{}
	h := New(Options{Live: live, Node: "a"})
	e := &chat.Event{Event: protocol.Event{Room: "r", Seq: 12, Name: protocol.MessageCreated, Data: bytes.Repeat([]byte("x"), 200)}}
	h.Committed(&chat.Commit{Events: []*chat.Event{e}})
	other := New(Options{Node: "b"})
	r := other.rooms.open("r")
	if len(live.got) != 1 || len(live.got[0]) > 100 {
		t.Fatalf("published: %q", live.got)
	}
	other.Receive(broker.Message{Room: "r", Data: live.got[0]})
	if a := r.take(); a == nil || a.kind != arrivedHead || a.seq != 12 {
		t.Errorf("arrived: %+v", a)
	}
}

// FuzzReceive gives a node whatever bytes.
func FuzzReceive(f *testing.F) {
	sender := New(Options{Node: "a"})
	e := &entry{seq: 3, frame: []byte(`{"event":"member.left"}`), change: &change{left: []string{"alice"}, joined: []string{"bob"}, reason: protocol.ReasonLeft}}
	f.Add("r", appendEvent(sender.envelope(kindEvent, "r", 0), e))
	f.Add("", appendNews(sender.envelope(kindNews, "r", 0), 1, "r", 3, e.change))
	f.Add("r", appendReceipts(sender.envelope(kindReceipts, "r", 0), false, []chat.CursorRow{{User: "alice", Session: "s", Delivered: 1}}))
	f.Add("r", appendTyping(sender.envelope(kindTyping, "r", 0), "alice", true))
	f.Add("", sender.envelope(kindSessions, "", 0))
	f.Add("", appendProbe(sender.envelope(kindProbe, "", 0), 1, 2))
	f.Fuzz(func(t *testing.T, room string, message []byte) {
		h := New(Options{Node: "b"})
		r := h.rooms.open("r")
		h.Receive(broker.Message{Room: room, Data: message})
		for a := r.take(); a != nil; a = a.next {
			if a.kind == arrivedEvent && (a.entry.seq == 0 || bytes.IndexByte(a.entry.frame, '\n') >= 0) {
				t.Errorf("an event that is none: %+v", a.entry)
			}
		}
	})
}
