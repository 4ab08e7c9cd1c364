package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/protocol"
)

// A limit in the text of a statement is cast, because SQLite plans a statement anew for each execution when its limit is a bare parameter.

// Memberships in the text of statements.
const (
	isMember = "1" // chat.IsMember
	isBanned = "4" // chat.IsBanned
)

// These do not compile when the numbers are others.
var (
	_ [chat.IsMember - 1]struct{} = [0]struct{}{}
	_ [chat.IsBanned - 4]struct{} = [0]struct{}{}
)

// db is the database as everything but the log's own transactions uses it. It is for many goroutines.
type db struct {
	engine database.Engine
	now    func() time.Time
	fatal  func(error) // see Options.Fatal
}

// scope is whom a transaction or a snapshot is about: where the store is one of several it must be the one that serves them. What is about nobody, or looks for
// itself which rows are the store's, has an empty one.
type scope struct {
	rooms, users []string
	upkeep       bool // on behalf of the relay or retention
}

func ofRooms(rooms ...string) scope { return scope{rooms: rooms} }
func ofUsers(users ...string) scope { return scope{users: users} }

// errMoved says that a slot is another shard's, or about to be. It was not done.
var errMoved = &protocol.Error{
	Code: protocol.Unavailable, Message: "The room or the user is being moved to another store; send the same call again.", RetryAfterMS: 200,
}

// IsMoved reports that the answer was that a room or a user is another shard's, or is about to be: nothing was done, and it should be asked of the shard that
// the map names then.
func IsMoved(err error) bool { return errors.Is(err, errMoved) }

// check refuses what is another shard's.
func (sc scope) check(t database.Tx, write bool) error {
	o := t.Owned()
	if o == nil {
		return nil
	}
	mine := &o.Reads
	switch {
	case sc.upkeep:
		mine = &o.Upkeep
	case write:
		mine = &o.Writes
	}
	for _, room := range sc.rooms {
		if !mine.Has(slots.Room(room)) {
			return errMoved
		}
	}
	for _, user := range sc.users {
		if !mine.Has(slots.User(user)) {
			return errMoved
		}
	}
	return nil
}

// read runs fn on one consistent snapshot.
func (d *db) read(ctx context.Context, about scope, fn func(database.Tx) error) error {
	return d.told(ctx, d.engine.Read(ctx, func(t database.Tx) error {
		if err := about.check(t, false); err != nil {
			return err
		}
		seen(ctx, t)
		return fn(t)
	}))
}

// maxTries bounds how often a transaction is begun again after the database gave it up.
const maxTries = 3

// write runs fn in one transaction, again when the database gave it up (a deadlock, a lost connection): fn must not mind. When a connection broke in the
// middle of the commit the answer is `unavailable` and the transaction may have happened: callers send the same call again, which must do no harm.
func (d *db) write(ctx context.Context, about scope, fn func(database.Tx) error) error {
	var err error
	for try := 1; ; try++ {
		err = d.engine.Write(ctx, database.Waiting, func(t database.Tx) error {
			if err := about.check(t, true); err != nil {
				return err
			}
			return fn(t)
		})
		again := err != nil && d.engine.Retryable(err) && !errors.Is(err, database.ErrCommitUnknown)
		if !again || try == maxTries || !pause(ctx, try) {
			break
		}
	}
	if errors.Is(err, database.ErrBroken) {
		d.fatal(err)
	}
	return d.told(ctx, err)
}

// pause waits before a transaction is begun again, longer each time, with jitter so that two that met do not meet again. It reports whether ctx lasted.
func pause(ctx context.Context, try int) bool {
	t := time.NewTimer(time.Duration(try*try)*20*time.Millisecond + rand.N(20*time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// told is an error as callers get it: `unavailable`, with the reason behind it, when trying again may help; otherwise as it is.
func (d *db) told(ctx context.Context, err error) error {
	if _, decided := errors.AsType[*protocol.Error](err); err == nil || decided {
		return err
	}
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || d.engine.Retryable(err) {
		return fmt.Errorf("%w: %w", unavailable(), err)
	}
	return err
}

// one runs a query whose single row, if there is one, is read into dest; found says whether there was.
func one(ctx context.Context, t database.Tx, q database.Text, args []any, dest ...any) (found bool, err error) {
	err = t.Query(ctx, q, args, func(scan database.Scan) error {
		found = true
		return scan(dest...)
	})
	return found, err
}

// collect makes a row function that appends what read makes of each row.
func collect[T any](to *[]T, read func(database.Scan, ...any) (T, error)) func(database.Scan) error {
	return func(scan database.Scan) error {
		v, err := read(scan)
		if err == nil {
			*to = append(*to, v)
		}
		return err
	}
}
