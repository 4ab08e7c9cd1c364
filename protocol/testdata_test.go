package protocol_test

import (
	"bufio"
	"os"
	"testing"

	"github.com/go-json-experiment/json"
)

// rows reads a file of testdata with one JSON object a line.
func rows[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var all []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var row T
		if err := json.Unmarshal(lines.Bytes(), &row, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%s:%d: %v", name, n, err)
		}
		all = append(all, row)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%s: %d rows, %v", name, len(all), err)
	}
	return all
}

// badFrame is a row of bad_frames.jsonl: a line from a client and what it brings, 4400 or an error code.
type badFrame struct {
	Why   string `json:"why"`
	Frame string `json:"frame"`
	Want  string `json:"want"`
	Field string `json:"field"`
	ID    uint64 `json:"id"`
}

// badParams is a row of bad_params.jsonl: the params of a call and the error that they bring.
type badParams struct {
	Method string `json:"method"`
	Params string `json:"params"`
	Want   string `json:"want"`
	Field  string `json:"field"`
}
