package main

import (
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/testkit"
)

// TestMovingDry: --dry-run moves nothing, the command without it what it names, and nothing else.
func TestMovingDry(t *testing.T) {
	server := testkit.StartPostgres(t, "fsync=off")
	home, one := server.Database(t), server.Database(t)
	s, err := store.Open(t.Context(), store.Options{URL: home})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.AddShard(t.Context(), store.Options{URL: home}, "one", one); err != nil {
		t.Fatal(err)
	}
	place := storePlace{Store: home, Shards: map[string]string{"one": one}}
	at := func() (list []int, version int64) {
		m, err := place.mover(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.Close() }()
		known, err := m.Map(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		under, err := m.Under(t.Context())
		if err != nil || len(under) > 0 {
			t.Errorf("on their way: %v, %v", under, err)
		}
		for n, row := range known.Slots {
			if row.Shard != 0 {
				list = append(list, n)
			}
		}
		return list, known.Version
	}
	move := shardsMoveCommand{storePlace: place, Slots: "3-4,9", To: "one", DryRun: true}
	if err := move.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, version := at(); len(list) > 0 || version != 0 {
		t.Errorf("moved were %v, the version is %d", list, version)
	}
	move.DryRun, move.Slots = false, "9"
	if err := move.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, version := at(); ranges(list) != "9" || version != 1 {
		t.Errorf("moved were %v, the version is %d", list, version)
	}
}

// TestRanges: slots are read as they are written.
func TestRanges(t *testing.T) {
	for _, text := range []string{"0", "7", "0-1023", "3-4,9", "1,3,5-7,1023"} {
		list, err := shards.ParseSlots(text)
		if err != nil || ranges(list) != text {
			t.Errorf("%s: %v, %v, %s", text, list, err, ranges(list))
		}
	}
	for _, text := range []string{"", "a", "-1", "1024", "5-3", "1,,2", "0-1024", "1-2x", "7 8"} {
		if list, err := shards.ParseSlots(text); err == nil || !strings.Contains(err.Error(), "are no slots") {
			t.Errorf("%q: %v, %v", text, list, err)
		}
	}
}
