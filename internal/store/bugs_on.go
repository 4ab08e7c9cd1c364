//go:build bugs

package store

// seedBug acknowledges before the commit: the crash tests must catch it.
func seedBug(items []*item) {
	for _, it := range items {
		it.finish()
	}
}
