package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Watched is an engine whose connections may lead to another copy of the database one day: to a promoted replica, or to one that was restored.
type Watched interface {
	// Watch has every connection from now on tell where it leads, before it is used. The first one that leads to another copy than the one at hand is the end
	// of the engine: what is under way is given up, what is asked later fails with ErrMoved, and moved is called, once, with what was found; it must not block.
	// One that leads to a standby, or back to a server that was given up for this one, is refused.
	Watch(w Watch)
}

// Watch is how a copy is known.
type Watch struct {
	Query string // for one row with one text, which is part of what makes the copy; none: it is somebody else's database
	Arg   string
	Known string // the row and the identity of the copy at hand, joined by a dot
	Moved func(found string)
}

// ErrMoved is the error of everything that is asked of an engine whose database is another one now.
var ErrMoved = errors.New("the database is another copy of what it was")

// identityQuery names the system and the timeline, which is right at once after a promotion: it stands in the name of the segment being written.
const identityQuery = `SELECT system_identifier::text || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()`

// Watch implements Watched.
func (e *postgresEngine) Watch(w Watch) {
	e.watch.Store(&w)
	e.pool.Reset() // those that were not asked
}

// validate looks where a connection leads.
func (e *postgresEngine) validate(ctx context.Context, c *pgconn.PgConn) error {
	w := e.watch.Load()
	if w == nil {
		return nil
	}
	var standby, identity, row string
	for _, ask := range []struct {
		to    *string
		query string
		args  [][]byte
	}{
		{&standby, `SELECT CASE WHEN pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' THEN 'yes' ELSE 'no' END`, nil},
		{&identity, identityQuery, nil},
		{&row, w.Query, [][]byte{[]byte(w.Arg)}},
	} {
		r := c.ExecParams(ctx, ask.query, ask.args, nil, nil, nil).Read()
		switch {
		case r.Err != nil:
			return r.Err
		case len(r.Rows) == 0:
			return errors.New("the connection leads to the database of another deployment")
		}
		if *ask.to = string(r.Rows[0][0]); standby == "yes" {
			return errors.New("the connection leads to a server that takes no writes: a standby, or one that is read only")
		}
	}
	found := row + "." + identity
	switch {
	case found == w.Known:
		return nil
	case outdated(found, w.Known):
		return fmt.Errorf("the connection leads back to a server that has been replaced: it is on an older timeline (%s, known is %s)", found, w.Known)
	}
	e.leaving.Do(func() {
		e.leave() // first: nothing goes on any more when it is told
		w.Moved(found)
	})
	return ErrMoved
}

// outdated reports that what was found is an earlier timeline of what is known.
func outdated(found, known string) bool {
	f, k := strings.LastIndexByte(found, '.'), strings.LastIndexByte(known, '.')
	return f >= 0 && k >= 0 && found[:f] == known[:k] && len(found) == len(known) && found[f:] < known[k:]
}
