package presence

import (
	"time"

	"github.com/parley-im/parley/protocol"
)

// grace is how long a user stays online after their last session has ended.
const grace = 10 * time.Second

// attendance is one user on this node. The zero attendance is that of who is not here.
type attendance struct {
	sessions int
	left     protocol.Time // when the last session ended, while there is none
}

// event is what happens to an attendance.
type event int

const (
	began  event = iota // a session, now
	ended               // a session, now
	waited              // the grace of who left at a time has passed
)

// effect is what comes of an event.
type effect int

const (
	none    effect = iota
	arrives        // the user is online from now
	pauses         // the user may be gone: to be told after grace that it has passed
	departs        // the user is offline, last seen when they left
)

// step is the whole of an attendance's life. at is now, and with waited when the user left.
func (a attendance) step(e event, at protocol.Time) (attendance, effect) {
	switch {
	case e == began && a == attendance{}:
		return attendance{sessions: 1}, arrives
	case e == began:
		return attendance{sessions: a.sessions + 1}, none
	case e == ended && a.sessions == 1:
		return attendance{left: at}, pauses
	case e == ended:
		return attendance{sessions: a.sessions - 1}, none
	case a.isGone(at):
		return attendance{}, departs
	}
	return a, none
}

// isGone reports whether who left at a time has not been here since.
func (a attendance) isGone(left protocol.Time) bool { return a == attendance{left: left} && left != 0 }
