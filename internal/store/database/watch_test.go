package database

import "testing"

func TestAnOlderTimelineIsOutdated(t *testing.T) {
	const known = "uuid.7000.00000002"
	for found, want := range map[string]bool{
		"uuid.7000.00000001": true, known: false, "uuid.7000.00000003": false,
		"uuid.6999.00000001": false, "other.7000.00000001": false, "": false,
	} {
		if outdated(found, known) != want {
			t.Errorf("%s is outdated by %s: want %v", found, known, want)
		}
	}
}
