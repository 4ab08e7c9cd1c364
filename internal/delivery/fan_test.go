package delivery

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whoever is taken out while a fan-out is under way: those that it has come to stay the same, and so do those that it has still to come to.
func TestAFanOutComesToEveryoneOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &room{more: &more{}}
		for i := range uint32(rapid.IntRange(1, 60).Draw(t, "sessions")) {
			r.add(i+1, false)
		}
		all, fan := slices.Clone(r.more.watchers), &fan{list: &r.more.watchers}
		r.more.fan = fan
		offered, gone := map[uint32]int{}, map[uint32]bool{}
		for fan.done < len(r.more.watchers) {
			if rapid.Bool().Draw(t, "go on") {
				offered[r.more.watchers[fan.done]]++
				fan.done++
				continue
			}
			one := rapid.SampledFrom(r.more.watchers).Draw(t, "out")
			r.remove(one)
			gone[one] = true
		}
		for _, one := range all {
			if n := offered[one]; n > 1 || n == 0 && !gone[one] {
				t.Fatalf("%d was offered it %d times; gone: %v", one, n, gone[one])
			}
			if slices.Contains(r.more.watchers, one) == gone[one] {
				t.Fatalf("%d is in: %v", one, !gone[one])
			}
		}
	})
}
