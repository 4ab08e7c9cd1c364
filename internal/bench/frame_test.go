package bench

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

func event(seq protocol.Seq, name protocol.Name, user, data string) []byte {
	return protocol.AppendEvent(nil, &protocol.Event{Room: "r_one", Seq: seq, Name: name, At: 1, User: user, Data: protocol.Raw(data)})
}

func TestScanning(t *testing.T) {
	line := event(12345, protocol.MessageCreated, "bench-x-7", `{"client_id":"42","n":3,"text":"000000001234 as people"}`)
	if room, seq, ok := scanEvent(line); string(room) != "r_one" || seq != 12345 || !ok {
		t.Errorf("scanEvent: %s %d %v", room, seq, ok)
	}
	if micros, ok := scanStamp(line); micros != 1234 || !ok {
		t.Errorf("scanStamp: %d %v", micros, ok)
	}
	if got := scanText(line, cidMember); string(got) != "42" {
		t.Errorf("client_id %q", got)
	}
	for _, other := range []string{
		`{}`, `{"id":7,"result":{}}`, `{"event":"typing","room":"r","data":{}}`, `{"event":"reset","room":"r_one","data":{"head":1}}`, `{"event":"x`,
	} {
		if _, _, ok := scanEvent([]byte(other)); ok {
			t.Errorf("scanEvent takes %s", other)
		}
	}
	reply := protocol.AppendResult(nil, 9, protocol.MessageSendResult{Room: "r", Seq: 31, N: 4})
	if id, seq, ok := scanReply(reply); id != 9 || seq != 31 || !ok {
		t.Errorf("scanReply: %d %d %v", id, seq, ok)
	}
	if _, _, ok := scanReply(protocol.AppendError(nil, 9, protocol.RoomNotFound())); ok {
		t.Error("scanReply takes an error")
	}
}

// What is sent is what the protocol says a send is.
func TestAppendSend(t *testing.T) {
	c, err := protocol.ParseCall(appendSend(nil, 7, "r_one", 1234, " and more"), 0)
	if err != nil {
		t.Fatal(err)
	}
	var p protocol.MessageSendParams
	if e := protocol.DecodeParams(c.Params, &p); e != nil {
		t.Fatal(e)
	}
	if c.ID != 7 || c.Method != protocol.MessageSend || p.Room != "r_one" || p.ClientID != "7" || p.Text != "000000001234 and more" {
		t.Errorf("%+v %+v", c, p)
	}
}

// The short way and the parser of the protocol agree on every frame that both take.
func FuzzScanEvent(f *testing.F) {
	f.Add(event(1, protocol.RoomCreated, "", `{}`))
	f.Add([]byte(`{"event":"message.created","room":"r","seq":99999999999999999999}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		scanReply(line)
		scanStamp(line)
		room, seq, ok := scanEvent(line)
		frame, err := protocol.ParseFrame(line)
		if ok && err == nil && frame.Seq < 1e18 && !bytes.Contains(line, []byte(`\`)) && bytes.Count(line, []byte(`"seq"`)) == 1 &&
			bytes.Count(line, []byte(`"room"`)) == 1 && (string(room) != frame.Room || seq != frame.Seq) {
			t.Errorf("%s: %s %d against %s %d", line, room, seq, frame.Room, frame.Seq)
		}
	})
}

// listener is a user whose link is not open, for frames to be given to.
func listener(t testing.TB) *user {
	t.Helper()
	c, err := Config{Scenario: Rooms, URLs: []string{"http://host"}, Sign: func(string) (string, error) { return "", nil }, Users: 2}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(c)
	u, err := newUser(r, 0, protocol.RoomsAll)
	if err != nil {
		t.Fatal(err)
	}
	r.users = []*user{u}
	t.Cleanup(r.close)
	return u
}

func TestTheOrderOfEventsIsChecked(t *testing.T) {
	for name, test := range map[string]struct {
		seqs                              []protocol.Seq // 0: a reset to head 10
		lost, duplicated, reordered, left uint64
	}{
		"as it should be":      {seqs: []protocol.Seq{1, 2, 3}},
		"from the middle":      {seqs: []protocol.Seq{7, 8}},
		"one missing":          {seqs: []protocol.Seq{1, 2, 4, 5}, lost: 1},
		"several missing":      {seqs: []protocol.Seq{1, 5}, lost: 3},
		"one twice":            {seqs: []protocol.Seq{1, 2, 2, 3}, duplicated: 1},
		"an old one again":     {seqs: []protocol.Seq{1, 2, 3, 1}, duplicated: 1},
		"two swapped":          {seqs: []protocol.Seq{1, 3, 2, 4}, reordered: 1},
		"left out by a reset":  {seqs: []protocol.Seq{1, 2, 0, 11}, left: 8},
		"swapped, then double": {seqs: []protocol.Seq{1, 3, 2, 2}, reordered: 1, duplicated: 1},
	} {
		t.Run(name, func(t *testing.T) {
			u := listener(t)
			for _, seq := range test.seqs {
				line := event(seq, protocol.MessageCreated, "somebody", `{}`)
				if seq == 0 {
					line = protocol.AppendSignal(nil, protocol.SignalReset, "r_one", "", protocol.ResetData{Head: 10})
				}
				if err := u.Frame(line); err != nil {
					t.Fatal(err)
				}
			}
			p := u.places[0]
			if lost := uint64(len(p.holes)); lost != test.lost || u.tally.duplicated.Load() != test.duplicated ||
				u.tally.reordered.Load() != test.reordered || p.reset != test.left {
				t.Errorf("lost %d, duplicated %d, reordered %d, left out %d", lost, u.tally.duplicated.Load(), u.tally.reordered.Load(), p.reset)
			}
		})
	}
}

func TestLogsAreCompared(t *testing.T) {
	m := func(n uint64) uint64 { return message(0, n) }
	for name, test := range map[string]struct {
		log, acks []uint64 // from seq 0
		seen      []sighting
		refused   uint64 // a message that was refused for now
		want      verdict
	}{
		"as it should be":     {log: []uint64{0, 0, m(1), m(2)}, acks: []uint64{0, 0, m(1), m(2)}, seen: []sighting{{"r", 3, m(2)}}},
		"stored, not acked":   {log: []uint64{0, m(1), m(2)}, acks: []uint64{0, m(1)}},
		"acked, not stored":   {log: []uint64{0, m(1)}, acks: []uint64{0, m(1), m(2)}, want: verdict{lost: 1}},
		"stored elsewhere":    {log: []uint64{0, m(1), m(2)}, acks: []uint64{0, m(2)}, want: verdict{lost: 1}},
		"stored twice":        {log: []uint64{0, m(1), m(1)}, want: verdict{duplicated: 1}},
		"overtaken":           {log: []uint64{0, m(2), m(1)}, want: verdict{reordered: 1}},
		"overtaken, refused":  {log: []uint64{0, m(2), m(1)}, refused: m(1)},
		"a number missing":    {log: []uint64{0, m(1), absent, m(2)}, want: verdict{gaps: 1}},
		"never sent":          {log: []uint64{0, m(9)}, want: verdict{strange: 1}},
		"seen as another":     {log: []uint64{0, m(1)}, seen: []sighting{{"r", 1, m(2)}}, want: verdict{strange: 1}},
		"seen beyond the end": {log: []uint64{0, m(1)}, seen: []sighting{{"r", 2, m(2)}}, want: verdict{strange: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			u := listener(t)
			u.made = 3
			if test.refused != 0 {
				u.r.refusals.disorder[test.refused] = struct{}{}
			}
			if got := u.r.judge(&room{acks: test.acks}, test.log, test.seen); got != test.want {
				t.Errorf("judged %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestReportCounts(t *testing.T) {
	var r Report
	r.count(0, 0, 9, 0, 0)   // never followed
	r.count(11, 1, 10, 0, 0) // everything
	r.count(9, 1, 10, 0, 0)  // the last two missing
	r.count(11, 1, 10, 4, 1) // four by a reset, one missing
	want := Report{Expected: 30, Delivered: 10 + 8 + 5, Reloaded: 4, Lost: 3}
	if r.Expected != want.Expected || r.Delivered != want.Delivered || r.Reloaded != want.Reloaded || r.Lost != want.Lost {
		t.Errorf("counted %+v", r)
	}
	if !r.Broken() || (Report{}).Broken() || !(Report{Problems: []string{"x"}}).Broken() {
		t.Error("Broken is wrong")
	}
	var text strings.Builder
	(Report{Scenario: Storm, Sent: 1234567, Problems: []string{"something"}, Strange: 2, Reconnects: 3}).WriteText(&text)
	for _, part := range []string{"1,234,567", "PROBLEM", "strange", "reconnected"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the text has no %q:\n%s", part, text.String())
		}
	}
}

func TestQuantiles(t *testing.T) {
	l := newLatency()
	for i := range 1000 {
		l.add(i, client.Backoff{}.Base) // nothing takes less than a microsecond
	}
	l.add(0, 1e9)
	if q := l.quantiles(); q.P50 != 0.001 || q.Max < 999 || q.Max > 1001 || (newLatency().quantiles() != Quantiles{}) {
		t.Errorf("quantiles %+v", q)
	}
}

// BenchmarkReceive is what an event costs the load generator behind the WebSocket.
func BenchmarkReceive(b *testing.B) {
	for name, sampling := range map[string]uint64{"plain": 1 << 60, "all sampled": 1, "as in a run": 32} {
		b.Run(name, func(b *testing.B) {
			u := listener(b)
			u.r.sampling = sampling
			line := event(1, protocol.MessageCreated, u.id, `{"client_id":"42","n":3,"text":"000000001234 as people write things to each other all the time"}`)
			b.ReportAllocs()
			for b.Loop() {
				if err := u.Frame(line); err != nil {
					b.Fatal(err)
				}
				u.last.next.Store(1)
			}
		})
	}
}
