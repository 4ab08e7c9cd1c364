package protocol_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/protocol"
)

const sendFrame = `{"id":7,"method":"message.send","params":{"room":"r_01hzy8x4k2","client_id":"0b7e3a52-6f0a-4d3e-9a56","text":"Shall we meet at noon at the usual place?"}}`

func TestLinesLeavesOutEmptyOnes(t *testing.T) { // §2.1
	var got []string
	for line := range protocol.Lines([]byte("\n{}\r\n\n  \n{\"id\":1}\n{}")) {
		got = append(got, string(line))
	}
	if want := []string{"{}", `{"id":1}`, "{}"}; !slices.Equal(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
	for range protocol.Lines([]byte("{}\n{}")) {
		break
	}
}

func TestParseCallReadsAFrame(t *testing.T) { // §2.1
	for _, tt := range []struct {
		line string
		want protocol.Call
	}{
		{sendFrame, protocol.Call{ID: 7, Method: "message.send", Params: protocol.Raw(sendFrame[strings.Index(sendFrame, `{"room"`) : len(sendFrame)-1])}},
		{" {\t} ", protocol.Call{}},
		{`{"params":[1],"other":true}`, protocol.Call{}},
		{`{"method":"typing.start","params":{}}`, protocol.Call{Method: "typing.start", Params: protocol.Raw(`{}`)}},
		{`{"id":9007199254740991,"method":"room.list"}`, protocol.Call{ID: 1<<53 - 1, Method: "room.list"}},
		{`{"\u0069d":1,"m\u0065thod":"room\u002elist"}`, protocol.Call{ID: 1, Method: "room.list"}},
		{`{"id":1,"method":"no.such","ID":"x","Method":1,"Params":2}`, protocol.Call{ID: 1, Method: "no.such"}},
		{`{"id":1,"method":"x","extra":[-0,1.5e-3,true,false,null,"\ud83d\ude00\n",{"a":{"a":1}}]}`, protocol.Call{ID: 1, Method: "x"}},
	} {
		got, err := protocol.ParseCall([]byte(tt.line), 0)
		if err != nil || got.ID != tt.want.ID || got.Method != tt.want.Method || string(got.Params) != string(tt.want.Params) {
			t.Errorf("ParseCall(%s) = %+v, %v; want %+v", tt.line, got, err, tt.want)
		}
		if got.Heartbeat() != tt.want.Heartbeat() {
			t.Errorf("ParseCall(%s).Heartbeat() = %v", tt.line, got.Heartbeat())
		}
	}
}

func TestParseCallTakesNestingUpToTheBound(t *testing.T) { // §2.1
	nested := func(depth int) string { // depth of the whole frame
		return `{"id":3,"method":"x","params":{"data":` + strings.Repeat("[", depth-2) + strings.Repeat("]", depth-2) + `}}`
	}
	if _, err := protocol.ParseCall([]byte(nested(protocol.MaxDepth)), 0); err != nil {
		t.Errorf("depth %d: %v", protocol.MaxDepth, err)
	}
	for _, depth := range []int{protocol.MaxDepth + 1, 200, 30_000} {
		call, err := protocol.ParseCall([]byte(nested(depth)), 0)
		e := new(protocol.Error)
		if !errors.As(err, &e) || e.Code != protocol.BadRequest || e.Field != "data" || call.ID != 3 {
			t.Errorf("depth %d: %+v, %v", depth, call, err)
		}
	}
}

func TestParseCallFindsADoubledNameAmongMany(t *testing.T) { // §2.1
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `"name%d":%d,`, i, i)
	}
	frame := `{"id":1,"method":"x","params":{"data":{` + b.String() + `"last":0}}}`
	if _, err := protocol.ParseCall([]byte(frame), 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"name0", "name4999", `na\u006de17`} {
		_, err := protocol.ParseCall([]byte(strings.Replace(frame, "last", name, 1)), 0)
		if e := new(protocol.Error); !errors.As(err, &e) || e.Code != protocol.BadRequest || e.Field != "data" {
			t.Errorf("%s twice: %v", name, err)
		}
	}
}

func TestParseCallDoesNotLookAtAFrameOverTheLimit(t *testing.T) {
	if _, err := protocol.ParseCall([]byte(sendFrame), len(sendFrame)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := protocol.ParseCall([]byte(sendFrame), len(sendFrame)-1); !errors.Is(err, protocol.ErrNotFrame) {
		t.Errorf("over the limit: %v", err)
	}
}

func TestParseCallDoesNotAllocate(t *testing.T) {
	line := []byte(sendFrame)
	if n := testing.AllocsPerRun(100, func() { _, _ = protocol.ParseCall(line, 0) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseCall(b *testing.B) {
	line := []byte(sendFrame)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.ParseCall(line, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseCallRefusesBadFrames(t *testing.T) { // §2.1
	for _, tt := range rows[badFrame](t, "bad_frames.jsonl") {
		call, err := protocol.ParseCall([]byte(tt.Frame), 0)
		if tt.Want == "4400" {
			if !errors.Is(err, protocol.ErrNotFrame) || call.ID != 0 {
				t.Errorf("%s: %s: call %+v, %v; want %v", tt.Why, tt.Frame, call, err, protocol.ErrNotFrame)
			}
			continue
		}
		e := new(protocol.Error)
		if !errors.As(err, &e) || string(e.Code) != tt.Want || e.Field != tt.Field || call.ID != tt.ID {
			t.Errorf("%s: %s: call %d, %v; want call %d, %s (%s)", tt.Why, tt.Frame, call.ID, err, tt.ID, tt.Want, tt.Field)
		}
	}
	if _, err := protocol.ParseCall([]byte("{\"id\":1,\"method\":\"\xff\"}"), 0); !errors.Is(err, protocol.ErrNotFrame) {
		t.Errorf("invalid UTF-8: %v", err)
	}
}
