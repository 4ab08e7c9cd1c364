package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is printed can be read, and says the same.
func TestWriteYAML(t *testing.T) {
	changed := Default()
	changed.Store = "postgres://parley:p%40ss@db/parley"
	changed.Origins = []string{"https://app.example.com", "https://example.com"}
	changed.Limits.MessagesPerSecond = 2.5
	changed.Drain = 90 * time.Second
	for name, c := range map[string]*Config{"the defaults": Default(), "all kinds of values": changed} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := c.WriteYAML(&b); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "parley.yaml")
			if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			read, err := Load(file, nil, nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			if len(read.Origins) == 0 {
				read.Origins = c.Origins // an empty list and none are one
			}
			if diff := cmp.Diff(c, read); diff != "" {
				t.Errorf("read back (-printed +read):\n%s\n%s", diff, b.String())
			}
			for _, f := range Flags() {
				if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "#", "")), " "), strings.Join(strings.Fields(f.Help), " ")) {
					t.Errorf("what %s is for is not printed", f.Key)
				}
			}
		})
	}
}

func TestExplain(t *testing.T) {
	for _, name := range []string{"limits.room_burst", "PARLEY_LIMITS_ROOM_BURST", "--limits-room-burst", "limits-room-burst"} {
		f, err := Explain(name)
		if err != nil || f.Key != "limits.room_burst" || f.Default != "200" || f.Help == "" {
			t.Errorf("%s is explained as %+v, %v", name, f, err)
		}
	}
	if _, err := Explain("limits.brust"); err == nil || !strings.Contains(err.Error(), "limits.burst") {
		t.Errorf("a name that is nearly right: %v", err)
	}
}
