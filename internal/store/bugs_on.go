//go:build bugs

package store

import "time"

// seedBug acknowledges before the commit, and waits a little, so that a kill is likely to come in between: the crash tests must catch it.
func seedBug(items []*item) {
	for _, it := range items {
		it.finish()
	}
	time.Sleep(5 * time.Millisecond)
}

// seededForgetting has the sweep forget the ids of the calls whose events it prunes: the tests of retention must catch it.
const seededForgetting = true
