//go:build !unix

package bench

// allowConnections leaves it to the system: it has no limit that could be asked for.
func allowConnections(int) error { return nil }

// processorTime is not known here.
func processorTime() float64 { return 0 }
