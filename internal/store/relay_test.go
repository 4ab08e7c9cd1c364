package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/protocol"
)

func TestSpansAreCut(t *testing.T) {
	half, huge := strings.Repeat("x", maxApplied/2), strings.Repeat("x", maxApplied+1)
	for name, tt := range map[string]struct {
		changes []change
		upTo    []protocol.Seq
	}{
		"what fits":                   {[]change{{room: "r_a", event: 5, text: half}, {room: "r_b", event: 7, text: half}}, []protocol.Seq{9, 8}},
		"one that is too large alone": {[]change{{room: "r_a", event: 5, text: huge}}, []protocol.Seq{9, 8}},
		"from the next room on":       {[]change{{room: "r_a", event: 5, text: half}, {room: "r_b", event: 7, text: huge}}, []protocol.Seq{9}},
		"within the next room":        {[]change{{room: "r_a", event: 5, text: half}, {room: "r_b", event: 8, text: huge}}, []protocol.Seq{9, 7}},
		"within the same room":        {[]change{{room: "r_a", event: 4, text: half}, {room: "r_a", event: 6, text: huge}}, []protocol.Seq{5}},
	} {
		_, cut := cutSpans(tt.changes, []relay.Span{{Room: "r_a", After: 3, UpTo: 9}, {Room: "r_b", After: 6, UpTo: 8}})
		var upTo []protocol.Seq
		for _, s := range cut {
			upTo = append(upTo, s.UpTo)
		}
		if !slices.Equal(upTo, tt.upTo) {
			t.Errorf("%s: up to %v, want %v", name, upTo, tt.upTo)
		}
	}
}
