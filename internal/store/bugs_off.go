//go:build !bugs

package store

// seedBug is where the negative control of the crash tests sits; in a real build it does nothing.
func seedBug([]*item) {}

// seededForgetting is the negative control of the tests of retention.
const seededForgetting = false
