//go:build bugs

package delivery

// seededTrust has a node believe that the broker brings everything: the tests that take the broker away must catch it.
const seededTrust = true
