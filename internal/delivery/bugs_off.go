//go:build !bugs

package delivery

// seededTrust is the negative control of the tests that take the broker away.
const seededTrust = false
