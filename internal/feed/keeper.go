package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-im/parley/protocol"
)

// Keeper is what operators do to the feed of one store, or of several as one. Beside a [PartialError] it returns what those stores have that answered.
type Keeper interface {
	// Since is when jobs began to be made; zero when none are.
	Since(ctx context.Context) (protocol.Time, error)
	// Backlog counts what waits, and what was given up.
	Backlog(ctx context.Context) (Backlog, error)
	// Dead are the first dead letters by sink, room and seq, at most limit.
	Dead(ctx context.Context, limit int) ([]DeadLetter, error)
	// Settle makes jobs of all dead letters, to be put again, or forgets them; it returns how many there were. Those of a slot whose writes are held up it leaves.
	Settle(ctx context.Context, again bool) (letters int, err error)
	// End has no jobs made any more, and forgets those that there are, and the dead letters.
	End(ctx context.Context) error

	// Rooms are some of the rooms after one, by their ids, that have events as young as a time. None: there are no more.
	Rooms(ctx context.Context, after string, since protocol.Time) ([]string, error)
	// Again makes jobs for some events of a room after one, which had a job and are at least as young as a time, to be put again into one queue or with "" into
	// all. It returns how many and the last of them; 0: there are no more. [ErrNone] when no jobs are made.
	Again(ctx context.Context, room string, after protocol.Seq, since protocol.Time, queue string) (events int, last protocol.Seq, err error)
}

// PartialError says that some of several stores did not answer, and which. The others have, or have done what they were to do; the same again does no harm.
type PartialError struct{ Err error }

func (e *PartialError) Error() string { return e.Err.Error() }

// Unwrap is the errors of the stores.
func (e *PartialError) Unwrap() error { return e.Err }

// DeadLetter is an event that could not be put.
type DeadLetter struct {
	Sink   string        `json:"sink"`
	Room   string        `json:"room"`
	Seq    protocol.Seq  `json:"seq"`
	At     protocol.Time `json:"at"` // when it was given up
	Reason string        `json:"reason"`
}

// ErrNone is the error of putting again where nothing was put.
var ErrNone = errors.New("there is no feed: start the server with feed.url and feed.queues first")

// Replay makes jobs for events that had one, to be put again: those of one room, or with "" of all, that are at least as young as since, into one queue or with
// "" all. It returns how many it made. What it has made stays when it fails half way; when it is about all rooms, it makes none unless every store answers.
func Replay(ctx context.Context, k Keeper, room string, since protocol.Time, queue string) (events int, err error) {
	if room != "" {
		return replayRoom(ctx, k, room, since, queue)
	}
	began, err := k.Since(ctx)
	if err == nil && began == 0 {
		err = ErrNone
	}
	for after := ""; err == nil; {
		var rooms []string
		if rooms, err = k.Rooms(ctx, after, since); len(rooms) == 0 {
			break
		}
		for _, room := range rooms {
			n, err := replayRoom(ctx, k, room, since, queue)
			if events += n; err != nil {
				return events, fmt.Errorf("room %s: %w", room, err)
			}
			after = room
		}
	}
	return events, err
}

func replayRoom(ctx context.Context, k Keeper, room string, since protocol.Time, queue string) (events int, err error) {
	for after := protocol.Seq(0); ; {
		n, last, err := k.Again(ctx, room, after, since, queue)
		if events += n; err != nil || n == 0 {
			return events, err
		}
		after = last
	}
}
