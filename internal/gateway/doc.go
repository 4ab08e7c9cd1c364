// Package gateway carries connections: the WebSocket handshake and framing, sessions and their write queues, heartbeats, close codes, drain. It knows
// frames and calls, and nothing of rooms.
//
// An idle session costs one parked goroutine and one small struct: no read buffer, no writer goroutine, no timer of its own.
package gateway
