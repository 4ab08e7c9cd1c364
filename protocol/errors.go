package protocol

import "fmt"

// Code says what kind of error a call met, and so what the client does next (§3).
type Code string

// The error codes of §3. There are no others.
const (
	BadRequest      Code = "bad_request"     // mend the call; sending it again as it is fails again
	Unauthenticated Code = "unauthenticated" // come with another token
	Forbidden       Code = "forbidden"       // the caller may see the room but lacks the right
	NotFound        Code = "not_found"       // does not exist, or not for the caller
	Conflict        Code = "conflict"        // contradicts what already is
	TooLarge        Code = "too_large"       // over a limit of size
	RateLimited     Code = "rate_limited"    // again after retry_after_ms
	Unavailable     Code = "unavailable"     // again after retry_after_ms, with the same client_id
	Internal        Code = "internal"        // a fault of the server
)

// Codes lists every error code with its HTTP status, in the order of §3.
func Codes() []CodeStatus {
	return []CodeStatus{
		{BadRequest, 400},
		{Unauthenticated, 401},
		{Forbidden, 403},
		{NotFound, 404},
		{Conflict, 409},
		{TooLarge, 413},
		{RateLimited, 429},
		{Unavailable, 503},
		{Internal, 500},
	}
}

// CodeStatus is an error code and the HTTP status that carries it.
type CodeStatus struct {
	Code   Code
	Status int
}

// HTTPStatus is the status with which an HTTP call answers the code; 500 for a code that is none.
func (c Code) HTTPStatus() int {
	for _, s := range Codes() {
		if s.Code == c {
			return s.Status
		}
	}
	return 500
}

// Scope says which of the rate limits refused a call (§3).
type Scope string

// The scopes of a rate limit.
const (
	ScopeUser       Scope = "user"
	ScopeRoom       Scope = "room"
	ScopeConnection Scope = "connection"
	ScopeSlowMode   Scope = "slow_mode"
)

// Error is the one shape of an error, in a reply and in an HTTP body. Message is for people and says how to mend it; it never holds what
// the caller may not see.
type Error struct {
	Code         Code   `json:"code"`
	Message      string `json:"message"`
	Field        string `json:"field,omitzero"`          // the param at fault
	RetryAfterMS int64  `json:"retry_after_ms,omitzero"` // with rate_limited and unavailable
	Scope        Scope  `json:"scope,omitzero"`          // with rate_limited
}

// Error is the code, the field and the message in one line.
func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s (%s): %s", e.Code, e.Field, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Errorf makes an error of a code about a param; field may be empty.
func Errorf(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// RoomNotFound is the one answer for a room that the caller may not see and for a room that never was (promise 7): the same bytes.
func RoomNotFound() *Error {
	return &Error{Code: NotFound, Field: "room", Message: "There is no such room, or you may not see it."}
}

// CloseCode is a WebSocket close code of §2.3.
type CloseCode uint16

// The close codes that a server sends.
const (
	CloseNormal          CloseCode = 1000
	CloseGoingAway       CloseCode = 1001
	CloseProtocolError   CloseCode = 1002
	CloseUnsupported     CloseCode = 1003
	CloseInvalidUTF8     CloseCode = 1007
	CloseTooBig          CloseCode = 1009
	CloseRestart         CloseCode = 1012
	CloseOverloaded      CloseCode = 1013
	CloseBadFrame        CloseCode = 4400
	CloseUnauthenticated CloseCode = 4401
	CloseRevoked         CloseCode = 4403
	CloseTimeout         CloseCode = 4408
	CloseReplaced        CloseCode = 4409
	CloseRateLimited     CloseCode = 4429
)

// Reconnect says what a client does after a close.
type Reconnect string

// What a client does after a close.
const (
	ReconnectNever    Reconnect = "no"
	ReconnectLater    Reconnect = "yes, with backoff"
	ReconnectNewToken Reconnect = "with a new token"
	ReconnectAsLiked  Reconnect = "as the client likes"
)

// Close is one row of the table of §2.3.
type Close struct {
	Code      CloseCode
	Reason    string // the text that goes into the close frame and `closing`
	Reconnect Reconnect
}

// Closes lists the close codes of §2.3.
func Closes() []Close {
	return []Close{
		{CloseNormal, "normal", ReconnectAsLiked},
		{CloseGoingAway, "going away", ReconnectAsLiked},
		{CloseProtocolError, "protocol error", ReconnectNever},
		{CloseUnsupported, "binary messages are not part of the protocol", ReconnectNever},
		{CloseInvalidUTF8, "text that is not UTF-8", ReconnectNever},
		{CloseTooBig, "message over limits.frame_bytes", ReconnectNever},
		{CloseRestart, "this node is being drained", ReconnectLater},
		{CloseOverloaded, "overloaded", ReconnectLater},
		{CloseBadFrame, "a frame that is not a frame", ReconnectNever},
		{CloseUnauthenticated, "the token is missing, invalid or expired", ReconnectNewToken},
		{CloseRevoked, "the session was revoked", ReconnectNever},
		{CloseTimeout, "no hello in time, or silent for two heartbeats", ReconnectLater},
		{CloseReplaced, "a newer session of the same user and device took its place", ReconnectNever},
		{CloseRateLimited, "far over the rate limit", ReconnectLater},
	}
}

// Lookup finds the row of the table for the code; ok is false for a code that is not of §2.3.
func (c CloseCode) Lookup() (row Close, ok bool) {
	for _, r := range Closes() {
		if r.Code == c {
			return r, true
		}
	}
	return Close{Code: c, Reconnect: ReconnectLater}, false
}
