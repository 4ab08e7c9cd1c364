// Package memory keeps the state of one node in its own memory. No method waits for anything but a mutex that is held for a moment, and none fails for want of
// an engine; contexts are not looked at.
package memory
