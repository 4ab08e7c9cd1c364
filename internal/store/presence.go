package store

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ presence.Store = (*Store)(nil)

var (
	upsertStatus = database.SQL(`INSERT INTO presence (user_id, status, last_seen) VALUES ($1, $2, CASE WHEN $2 = 'invisible' THEN CAST($3 AS BIGINT) ELSE 0 END)
		ON CONFLICT (user_id) DO UPDATE SET status = excluded.status,
			last_seen = CASE WHEN excluded.status = 'invisible' AND presence.status <> 'invisible' THEN excluded.last_seen ELSE presence.last_seen END`)
	upsertSeen = database.SQL(`INSERT INTO presence (user_id, status, last_seen) SELECT p.a, 'online', p.b FROM {places $1} p WHERE NOT EXISTS (
			SELECT 1 FROM users u WHERE u.id = p.a AND u.erased_at <> 0)
		ON CONFLICT (user_id) DO UPDATE SET last_seen = excluded.last_seen WHERE presence.status <> 'invisible' AND presence.last_seen < excluded.last_seen`)
	deletePresence = database.SQL(`DELETE FROM presence WHERE user_id = $1`)
	upsertLost     = database.SQL(`INSERT INTO presence (user_id, status, last_seen)
		SELECT s.user_id, 'online', max(CASE WHEN s.created_at > n.beat_at THEN s.created_at ELSE n.beat_at END) FROM nodes n CROSS JOIN sessions s
			WHERE ((n.beat_at < $1 AND n.beat_at >= $2) OR n.id = $3) AND s.node = n.id GROUP BY s.user_id ORDER BY s.user_id
		ON CONFLICT (user_id) DO UPDATE SET last_seen = excluded.last_seen WHERE presence.status <> 'invisible' AND presence.last_seen < excluded.last_seen`)

	// The viewer's rooms, and in each the user's row by its key. It is no EXISTS, because PostgreSQL may carry one out for all the members of all rooms at once.
	selectVisible = database.SQL(`SELECT p.a, p.b, COALESCE(s.status, 'online'), COALESCE(s.last_seen, 0) FROM {pairs $1} p LEFT JOIN presence s ON s.user_id = p.b
		WHERE p.a = p.b OR (SELECT 1 FROM members m CROSS JOIN members o CROSS JOIN rooms r
			WHERE m.user_id = p.a AND m.state = ` + isMember + ` AND o.room = m.room AND o.user_id = p.b AND o.state = ` + isMember + `
				AND r.id = m.room AND r.deleted = 0 AND r.kind IN ('direct', 'group') {rooms r.id} LIMIT 1) = 1`)
	selectInvisible   = database.SQL(`SELECT s.user_id FROM presence s WHERE s.status = 'invisible' {users s.user_id}`)
	selectInvisibleOf = database.SQL(`SELECT s.user_id FROM presence s WHERE s.status = 'invisible' AND s.user_id IN {list $1}`)
)

// keptPresence is the part of the store that presence stands on.
type keptPresence struct {
	*db
	statuses *batcher[statusChange]
}

func newKeptPresence(d *db) *keptPresence {
	k := &keptPresence{db: d}
	k.statuses = newBatcher(k.setStatuses)
	return k
}

// statusChange is a status that a user sets.
type statusChange struct {
	user   string
	status protocol.Status
	at     protocol.Time
}

// SetStatus implements presence.Store. When many users do so at once they share transactions.
func (k *keptPresence) SetStatus(ctx context.Context, user string, status protocol.Status, at protocol.Time) error {
	return k.statuses.do(ctx, statusChange{user, status, at})
}

// setStatuses carries out changes in the order given; each user's by themselves, and users in the order of their ids, so that two transactions do not wait for
// each other.
func (k *keptPresence) setStatuses(ctx context.Context, changes []statusChange) error {
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b statusChange) int { return strings.Compare(a.user, b.user) })
	users := make([]string, len(changes))
	for i, c := range changes {
		users[i] = c.user
	}
	return k.write(ctx, ofUsers(users...), func(t database.Tx) error {
		var b database.Batch
		for _, c := range changes {
			b.Exec(upsertStatus, c.user, c.status, c.at)
		}
		return t.Batch(ctx, &b)
	})
}

// Seen implements presence.Store. Nothing comes back of users who were erased; they may be leaving just now.
func (k *keptPresence) Seen(ctx context.Context, last map[string]protocol.Time) error {
	if len(last) == 0 {
		return nil
	}
	rows := make([][2]any, 0, len(last))
	users := slices.Sorted(maps.Keys(last))
	for _, user := range users {
		rows = append(rows, [2]any{user, int64(last[user])})
	}
	return k.write(ctx, ofUsers(users...), func(t database.Tx) error {
		_, err := t.Exec(ctx, upsertSeen, database.JSONList(rows))
		return err
	})
}

// lostFor is how long after a node died it is still looked at; see presence.Store.
const lostFor = 5 * time.Minute

// Lost implements presence.Store. Whoever has left a session in a SQLite store is dead: it is one server's at a time.
func (k *keptPresence) Lost(ctx context.Context, node string) error {
	before := protocol.At(k.now().Add(-liveFor))
	since := protocol.At(before.Go().Add(-lostFor))
	switch {
	case node == "" && k.engine.Dialect() == database.SQLite:
		return nil
	case node != "" && k.engine.Dialect() == database.SQLite:
		before, since = math.MaxInt64, 0
	case node != "":
		since = 0
	}
	return k.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, upsertLost, before, since, node)
		return err
	})
}

// Visible implements presence.Store.
func (k *keptPresence) Visible(ctx context.Context, pairs []presence.Pair) (map[presence.Pair]presence.Kept, error) {
	asked := make([][2]string, len(pairs))
	for i, p := range pairs {
		asked[i] = [2]string{p.Viewer, p.User}
	}
	visible := make(map[presence.Pair]presence.Kept, len(pairs))
	err := k.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, selectVisible, []any{database.JSONList(asked)}, func(scan database.Scan) error {
			var p presence.Pair
			var k presence.Kept
			err := scan(&p.Viewer, &p.User, &k.Status, &k.LastSeen)
			visible[p] = k
			return err
		})
	})
	return visible, err
}

// Kept is what is kept of some users.
func (k *keptPresence) Kept(ctx context.Context, users []string) (map[string]presence.Kept, error) {
	pairs := make([][2]string, len(users))
	for i, user := range users {
		pairs[i] = [2]string{user, user}
	}
	kept := make(map[string]presence.Kept, len(users))
	err := k.read(ctx, ofUsers(users...), func(t database.Tx) error {
		return t.Query(ctx, selectVisible, []any{database.JSONList(pairs)}, func(scan database.Scan) error {
			var viewer, user string
			var one presence.Kept
			err := scan(&viewer, &user, &one.Status, &one.LastSeen)
			kept[user] = one
			return err
		})
	})
	return kept, err
}

// Invisible implements presence.Store.
func (k *keptPresence) Invisible(ctx context.Context, users []string) ([]string, error) {
	q, args := selectInvisible, []any(nil)
	about := ofUsers(users...)
	if users != nil {
		q, args = selectInvisibleOf, []any{database.JSONList(users)}
	}
	var found []string
	err := k.read(ctx, about, func(t database.Tx) error { return t.Query(ctx, q, args, collect(&found, scanString)) })
	return found, err
}
