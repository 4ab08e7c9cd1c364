// Package fault lets a process die at a named point, for tests. Without the build tag faults nothing of it is left in the binary.
package fault
