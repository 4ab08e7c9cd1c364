package protocol_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

// FuzzParseCall holds the one-pass scanner against jsontext, which knows nothing of it.
func FuzzParseCall(f *testing.F) {
	for _, row := range rows[badFrame](f, "bad_frames.jsonl") {
		f.Add([]byte(row.Frame))
	}
	f.Add([]byte(sendFrame))
	f.Fuzz(func(t *testing.T, line []byte) {
		call, err := protocol.ParseCall(line, 0)
		loose := protocol.Raw(line).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) && utf8.Valid(line)
		strict := protocol.Raw(line).IsValid()
		e := new(protocol.Error)
		switch {
		case err == nil:
			if !loose {
				t.Fatalf("%q is taken for JSON", line)
			}
			if len(call.Params) > 0 && call.Params.Kind() != '{' {
				t.Fatalf("params of %q are %q", line, call.Params)
			}
		case errors.As(err, &e):
			if !loose || call.ID == 0 || e.Code != protocol.BadRequest {
				t.Fatalf("%q: call %d, %v", line, call.ID, err)
			}
			protocol.AppendError(nil, call.ID, e)
		case !errors.Is(err, protocol.ErrNotFrame):
			t.Fatal(err)
		}
		if twice := loose && !strict && protocol.Raw(line).IsValid(jsontext.AllowDuplicateNames(true)); twice && err == nil {
			t.Fatalf("%q has a name twice", line)
		}
	})
}

// FuzzDecodeParams decodes and checks anything as the params of any method.
func FuzzDecodeParams(f *testing.F) {
	methods := protocol.Methods()
	for i, m := range methods {
		for _, row := range rows[goldenMethod](f, "methods.jsonl") {
			if row.Method == m.Name {
				f.Add(i, []byte(row.Params))
			}
		}
		for _, row := range rows[badParams](f, "bad_params.jsonl") {
			if row.Method == m.Name && len(row.Params) < 500 {
				f.Add(i, []byte(row.Params))
			}
		}
	}
	f.Fuzz(func(t *testing.T, i int, params []byte) {
		m := methods[uint(i)%uint(len(methods))]
		into := m.New()
		if e := protocol.DecodeParams(params, into); e != nil {
			if e.Code != protocol.BadRequest {
				t.Fatalf("%s %q: %v", m.Name, params, e)
			}
			protocol.AppendError(nil, 1, e)
			return
		}
		if e := into.Check(); e != nil {
			protocol.AppendError(nil, 1, e)
			return
		}
		hash := protocol.ContentHash(m.Name, into)
		b, err := json.Marshal(into, protocol.Encoding())
		if err != nil {
			t.Fatalf("%s %q: %v", m.Name, params, err)
		}
		back := m.New()
		if e := protocol.DecodeParams(b, back); e != nil || protocol.ContentHash(m.Name, back) != hash {
			t.Fatalf("%s %q: encoded as %q: %v, or another hash", m.Name, params, b, e)
		}
	})
}

// FuzzParseFrame holds the short way through a frame against the long one: with its members in another order the same frame must come out.
func FuzzParseFrame(f *testing.F) {
	for _, name := range []string{"pushes.jsonl", "errors.jsonl"} {
		for _, line := range rows[protocol.Raw](f, name) {
			f.Add([]byte(line))
		}
	}
	f.Add([]byte(createdFrame))
	f.Fuzz(func(t *testing.T, line []byte) {
		short, err := protocol.ParseFrame(line)
		if err != nil {
			return
		}
		// An unknown member in front leads away from the short way.
		i := 0
		for line[i] != '{' {
			i++
		}
		comma := ","
		if short.Heartbeat() {
			comma = "" // perhaps there is no other member
		}
		other := append([]byte(`{"":0`+comma), line[i+1:]...)
		long, err := protocol.ParseFrame(other)
		if comma == "" && err != nil {
			return
		}
		if diff := cmp.Diff(short, long); err != nil || diff != "" {
			t.Fatalf("%q: %v\n%s", line, err, diff)
		}
	})
}
