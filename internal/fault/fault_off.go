//go:build !faults

package fault

// Here does nothing in a real build.
func Here(string) error { return nil }
