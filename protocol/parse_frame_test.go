package protocol_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

const createdFrame = `{"event":"message.created","room":"r_01hzy8x4k2","seq":12345,"at":"2026-05-01T12:30:00.250Z","user":"alice",` +
	`"data":{"client_id":"0b7e3a52-6f0a-4d3e-9a56","n":9876,"text":"Shall we meet at noon at the usual place?","mentions":["bob"]}}`

func TestParseFrame(t *testing.T) { // §2.1
	at := protocol.Time(1777638600250)
	for _, tt := range []struct {
		line string
		want protocol.Frame
	}{
		{`{}`, protocol.Frame{}},
		{` { "extra" : 1 } `, protocol.Frame{}},
		{`{"id":7,"result":{"a":[1]}}`, protocol.Frame{ID: 7, Result: protocol.Raw(`{"a":[1]}`)}},
		{`{"result":{},"id":7,"error":null}`, protocol.Frame{ID: 7, Result: protocol.Raw(`{}`)}},
		{
			`{"id":7,"error":{"code":"rate_limited","message":"m","retry_after_ms":5,"scope":"room","new":1}}`,
			protocol.Frame{ID: 7, Error: &protocol.Error{Code: protocol.RateLimited, Message: "m", RetryAfterMS: 5, Scope: protocol.ScopeRoom}},
		},
		{
			`{"event":"room.deleted","room":"r","seq":3,"at":"2026-05-01T12:30:00.250Z","user":null,"data":{}}`,
			protocol.Frame{Event: protocol.RoomDeleted, Room: "r", Seq: 3, At: at, Data: protocol.Raw(`{}`)},
		},
		{
			`{"data":{"a":"}"},"user":"b\u006fb","seq":3,"at":"2026-05-01T14:30:00.25+02:00","room":"r","event":"new.thing"}`,
			protocol.Frame{Event: "new.thing", Room: "r", Seq: 3, At: at, User: "bob", Data: protocol.Raw(`{"a":"}"}`)},
		},
		{
			`{"event":"typing","room":"r","user":"bob","data":{"active":true,"expires_ms":5000}}`,
			protocol.Frame{Event: protocol.SignalTyping, Room: "r", User: "bob", Data: protocol.Raw(`{"active":true,"expires_ms":5000}`)},
		},
	} {
		got, err := protocol.ParseFrame([]byte(tt.line))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.line, err, diff)
		}
		if got.Heartbeat() != (got.ID == 0 && got.Event == "") {
			t.Errorf("%s: heartbeat %v", tt.line, got.Heartbeat())
		}
	}
}

func TestParseFrameRefusesWhatIsNoFrame(t *testing.T) { // §2.1
	for _, line := range []string{
		"", "[]", "{", `{"id":1`, `{"id":1,}`, `{"id":1}}`, `{"id":"1"}`, `{"id":1.0}`, `{"id":-1}`, `{"event":7}`, `{"room":{}}`, `{"seq":-1}`,
		`{"seq":18446744073709551616}`, `{"at":"now"}`, `{"at":5}`, `{"user":1}`, `{"error":[]}`, "{\"event\":\"\xff\"}",
		createdFrame + "x", createdFrame[:len(createdFrame)-1], createdFrame[:len(createdFrame)-2] + "]}",
	} {
		if f, err := protocol.ParseFrame([]byte(line)); !errors.Is(err, protocol.ErrNotFrame) {
			t.Errorf("%s: %+v, %v", line, f, err)
		}
	}
}

func TestAppendedFramesStandBehindWhatWasThere(t *testing.T) {
	b := append(make([]byte, 0, 256), "{}\n"...)
	b = protocol.AppendResult(b, 5, protocol.HeadResult{Head: 3})
	b = append(b, '\n')
	b = protocol.AppendSignal(b, protocol.SignalReset, `r"1`, "é", protocol.ResetData{Head: 3})
	want := `{}` + "\n" + `{"id":5,"result":{"head":3}}` + "\n" + `{"event":"reset","room":"r\"1","user":"é","data":{"head":3}}`
	if string(b) != want {
		t.Errorf("%s\nwant\n%s", b, want)
	}
}

func BenchmarkParseFrame(b *testing.B) {
	line := []byte(createdFrame)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.ParseFrame(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResult(b *testing.B) {
	buf := make([]byte, 1000, 4096)
	result := protocol.MessageSendResult{Room: "r_01hzy8x4k2", Seq: 12345, N: 9876, At: 1777638600250}
	b.ReportAllocs()
	for b.Loop() {
		_ = protocol.AppendResult(buf, 7, &result)
	}
}
