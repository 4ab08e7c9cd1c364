// Package e2e tests Parley from outside: the real binary as a child process, real sockets, real browsers and databases, and faults.
//
// Tests speak the wire protocol through a client of their own (client_test.go, on an independent WebSocket library), so that what the server's own code
// takes for granted is looked at with other eyes. Long forms run with PARLEY_E2E_LONG=1; the short forms run every time.
package e2e
