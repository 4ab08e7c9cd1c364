package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/fault"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ auth.Sessions = (*Store)(nil)

const (
	liveFor = 45 * time.Second // after a node's last beat
	keptFor = time.Hour        // what a node left behind, so that one that was only held up finds its sessions again

	maxSwept = 1000 // sessions of dead nodes that one beat removes
)

var (
	insertNode = database.SQL(`INSERT INTO nodes (id, beat_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`)
	upsertNode = database.SQL(`INSERT INTO nodes (id, beat_at, shards) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at, shards = excluded.shards`)

	// lockUsers keeps other nodes from opening or revoking sessions of the same users meanwhile. SQLite's writer is alone.
	lockUsers = database.Text{database.Postgres: database.SQL(`SELECT u.id FROM users u WHERE u.id IN {list $1} ORDER BY u.id FOR NO KEY UPDATE`)[database.Postgres]}

	selectRevocations = database.SQL(`SELECT user_id, device, not_before FROM revocations ORDER BY user_id, device`)
	revocationsOf     = database.SQL(`SELECT user_id, device, not_before FROM revocations WHERE user_id IN {list $1}`)
	upsertRevocation  = database.SQL(`INSERT INTO revocations (user_id, device, not_before) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, device) DO UPDATE SET not_before = excluded.not_before WHERE revocations.not_before < excluded.not_before`)

	sessionsOf = database.SQL(`SELECT s.user_id, s.device, s.id, s.node, CASE WHEN n.beat_at >= $2 THEN 1 ELSE 0 END
		FROM sessions s LEFT JOIN nodes n ON n.id = s.node WHERE s.user_id IN {list $1}`)
	liveSessions = database.SQL(`SELECT ` + sessionCols + ` FROM sessions s JOIN nodes n ON n.id = s.node WHERE s.user_id = $1 AND n.beat_at >= $2
		ORDER BY s.created_at DESC, s.id DESC`)
	allSessions    = database.SQL(`SELECT ` + sessionCols + ` FROM sessions s WHERE s.user_id = $1 ORDER BY s.device`)
	sessionsAt     = database.SQL(`SELECT s.id FROM sessions s WHERE s.node = $1`)
	knownSessions  = database.SQL(`SELECT id FROM sessions WHERE id IN {list $1} {users user_id}`)
	upsertSessions = database.SQL(`INSERT INTO sessions (user_id, device, id, client, node, created_at, issued_at)
		SELECT p.a, p.b, p.c, p.d, p.e, CAST(p.f AS BIGINT), CAST(p.g AS BIGINT) FROM {sevens $1} p WHERE true
		ON CONFLICT (user_id, device) DO UPDATE SET id = excluded.id, client = excluded.client, node = excluded.node, created_at = excluded.created_at,
			issued_at = excluded.issued_at`)
	deleteSessions = database.SQL(`DELETE FROM sessions WHERE id IN {list $1}`)
	sweepSessions  = database.SQL(`DELETE FROM sessions WHERE id IN (
		SELECT s.id FROM nodes n CROSS JOIN sessions s WHERE n.beat_at < $1 AND s.node = n.id LIMIT CAST($2 AS BIGINT))`)
	sweepNodes = database.SQL(`DELETE FROM nodes WHERE beat_at < $1 AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.node = nodes.id)`)

	markAuth = database.SQL(`UPDATE auth_mark SET changed = {changed}`)
)

const sessionCols = `s.id, s.user_id, s.device, s.client, s.node, s.created_at, s.issued_at`

// accounts is the part of the store that authentication stands on: sessions, revocations, keys and tickets.
type accounts struct {
	*db
	opens   *batcher[*opening] // these come in storms
	ends    *batcher[[]string]
	tickets *batcher[*auth.Ticket]
	takings *batcher[*taking]
}

func newAccounts(d *db) *accounts {
	a := &accounts{db: d}
	a.opens, a.ends = newBatcher(a.openSessions), newBatcher(a.endSessions)
	a.tickets, a.takings = newBatcher(a.addTickets), newBatcher(a.takeTickets)
	return a
}

// stop refuses what has not begun.
func (a *accounts) stop() {
	a.opens.stop()
	a.ends.stop()
	a.tickets.stop()
	a.takings.stop()
}

// scanSession reads sessionCols.
func scanSession(scan database.Scan, _ ...any) (auth.Session, error) {
	var s auth.Session
	err := scan(&s.ID, &s.User, &s.Device, &s.Client, &s.Node, &s.CreatedAt, &s.IssuedAt)
	return s, err
}

// scanRevocation reads a revocation.
func scanRevocation(scan database.Scan, _ ...any) (auth.Revocation, error) {
	var r auth.Revocation
	err := scan(&r.User, &r.Device, &r.NotBefore)
	return r, err
}

// opening is a session that is to be opened, and its answer.
type opening struct {
	session  *auth.Session
	replaced string
	err      error
}

// device names a device of a user.
type device struct{ user, device string }

// held is the session that a device has.
type held struct {
	id, node string
	live     bool
}

// Open implements auth.Sessions. When many sessions open at once they share transactions.
func (a *accounts) Open(ctx context.Context, session *auth.Session) (replaced string, err error) {
	o := &opening{session: session}
	if err := fault.Here("session-open"); err != nil {
		return "", err
	}
	if err := a.opens.do(ctx, o); err != nil {
		return "", err
	}
	_ = fault.Here("session-opened")
	return o.replaced, o.err
}

// openSessions opens sessions in the order given.
func (a *accounts) openSessions(ctx context.Context, openings []*opening) error {
	users, nodes := map[string]bool{}, map[string]bool{}
	for _, o := range openings {
		users[o.session.User], nodes[o.session.Node] = true, true
	}
	ids := slices.Collect(maps.Keys(users))
	return a.write(ctx, ofUsers(ids...), func(t database.Tx) error {
		now := a.now()
		sessions, revoked := map[device]held{}, map[device]int64{}
		var b database.Batch
		b.Exec(insertUsers, usersList(ids), protocol.At(now))
		for _, node := range slices.Sorted(maps.Keys(nodes)) {
			b.Exec(insertNode, node, protocol.At(now))
		}
		a.lockUsers(&b, ids)
		b.Query(revocationsOf, func(scan database.Scan) error {
			r, err := scanRevocation(scan)
			revoked[device{r.User, r.Device}] = r.NotBefore
			return err
		}, database.JSONList(ids))
		b.Query(sessionsOf, func(scan database.Scan) error {
			var d device
			var h held
			var live int64
			err := scan(&d.user, &d.device, &h.id, &h.node, &live)
			h.live = live != 0
			sessions[d] = h
			return err
		}, database.JSONList(ids), protocol.At(now.Add(-liveFor)))
		if err := t.Batch(ctx, &b); err != nil {
			return err
		}
		b = database.Batch{}
		admit(&b, openings, sessions, revoked)
		return t.Batch(ctx, &b)
	})
}

// admit decides about openings and writes those that are not refused.
func admit(b *database.Batch, openings []*opening, sessions map[device]held, revoked map[device]int64) {
	opened := map[device]*auth.Session{}
	taken := false // from another node, which must hear of it
	for _, o := range openings {
		n := o.session
		d := device{n.User, n.Device}
		o.replaced, o.err = "", nil
		switch {
		case refused(n, revoked):
			o.err = auth.ErrRevoked
			continue
		case others(sessions, d) >= protocol.MaxSessionsPerUser:
			o.err = auth.ErrTooMany
			continue
		}
		if h, had := sessions[d]; had && h.id != n.ID { // its own id is there when a transaction is repeated
			o.replaced = h.id
			taken = taken || h.node != n.Node
		}
		sessions[d] = held{n.ID, n.Node, true}
		opened[d] = n
	}
	if len(opened) > 0 { // in one statement, however many come back at once
		rows := make([][7]any, 0, len(opened))
		for _, n := range opened {
			rows = append(rows, [7]any{n.User, n.Device, n.ID, kept(n.Client), n.Node, int64(n.CreatedAt), n.IssuedAt})
		}
		b.Exec(upsertSessions, database.JSONList(rows))
	}
	if taken {
		b.Exec(markAuth)
	}
}

// kept is a text without what an engine would refuse, and with it everybody else's session.
func kept(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\ufffd")
}

// refused reports whether the session's token was issued before its user or device was revoked, or may have been: without iat it counts as issued at 0.
func refused(n *auth.Session, revoked map[device]int64) bool {
	for _, d := range []device{{n.User, n.Device}, {n.User, ""}} {
		if notBefore, ok := revoked[d]; ok && n.IssuedAt <= notBefore {
			return true
		}
	}
	return false
}

// others counts the live sessions of the user's other devices.
func others(sessions map[device]held, d device) int {
	n := 0
	for other, h := range sessions {
		if other.user == d.user && other.device != d.device && h.live {
			n++
		}
	}
	return n
}

// lockUsers adds the lock on the users, where the engine needs it.
func (a *accounts) lockUsers(b *database.Batch, users []string) {
	if a.engine.Dialect() == database.Postgres {
		b.Exec(lockUsers, database.JSONList(users))
	}
}

// End implements auth.Sessions. When many sessions end at once they share transactions.
func (a *accounts) End(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return a.ends.do(ctx, ids)
}

func (a *accounts) endSessions(ctx context.Context, ids [][]string) error {
	return a.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, deleteSessions, database.JSONList(slices.Concat(ids...)))
		return err
	})
}

// Sessions implements auth.Sessions.
func (a *accounts) Sessions(ctx context.Context, user string) ([]auth.Session, error) {
	var sessions []auth.Session
	err := a.read(ctx, ofUsers(user), func(t database.Tx) error {
		return t.Query(ctx, liveSessions, []any{user, protocol.At(a.now().Add(-liveFor))}, collect(&sessions, scanSession))
	})
	return sessions, err
}

// SessionsOf are the live sessions of some users, by user and device.
func (a *accounts) SessionsOf(ctx context.Context, users []string) ([]auth.Session, error) {
	var sessions []auth.Session
	err := a.read(ctx, ofUsers(users...), func(t database.Tx) error {
		return t.Query(ctx, liveSessionsOf, []any{database.JSONList(users), protocol.At(a.now().Add(-liveFor))}, collect(&sessions, scanSession))
	})
	return sessions, err
}

// SessionsAt are the ids of a node's sessions.
func (a *accounts) SessionsAt(ctx context.Context, node string) ([]string, error) {
	var ids []string
	err := a.read(ctx, scope{}, func(t database.Tx) error { return t.Query(ctx, sessionsAt, []any{node}, collect(&ids, scanString)) })
	return ids, err
}

// Standing implements auth.Sessions.
func (a *accounts) Standing(ctx context.Context, ids []string) (map[string]bool, error) {
	known := make(map[string]bool, len(ids))
	err := a.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, knownSessions, []any{database.JSONList(ids)}, func(scan database.Scan) error {
			id, err := scanString(scan)
			known[id] = true
			return err
		})
	})
	return known, err
}

// Revoke implements auth.Sessions.
func (a *accounts) Revoke(ctx context.Context, user, session, from string, notBefore int64) ([]auth.Session, error) {
	var ended []auth.Session
	err := a.write(ctx, ofUsers(user), func(t database.Tx) error {
		ended = nil
		var b database.Batch
		b.Exec(insertUsers, usersList([]string{user}), protocol.At(a.now())) // so that there is a row to lock
		a.lockUsers(&b, []string{user})
		b.Query(allSessions, collect(&ended, scanSession), user)
		if err := t.Batch(ctx, &b); err != nil {
			return err
		}
		ended = slices.DeleteFunc(ended, func(other auth.Session) bool {
			return session != "" && other.ID != session || from != "" && other.Device != from
		})
		if session != "" {
			if len(ended) == 0 {
				return auth.ErrNoSession
			}
			from = ended[0].Device
		}
		ids := make([]string, len(ended))
		for i, e := range ended {
			ids[i] = e.ID
		}
		b = database.Batch{}
		b.Exec(deleteSessions, database.JSONList(ids))
		b.Exec(upsertRevocation, user, from, notBefore)
		b.Exec(markAuth)
		return t.Batch(ctx, &b)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// Revocations implements auth.Sessions.
func (a *accounts) Revocations(ctx context.Context) ([]auth.Revocation, error) {
	var all []auth.Revocation
	err := a.read(ctx, scope{}, func(t database.Tx) error { return t.Query(ctx, selectRevocations, nil, collect(&all, scanRevocation)) })
	return all, err
}

// Beat implements auth.Sessions. It also removes, a part at a time, tickets that have expired and what nodes left behind that have been silent for an hour.
func (a *accounts) Beat(ctx context.Context, node string) error { return a.BeatSharded(ctx, node, 0) }

// BeatSharded is Beat for a node that routes by a map of shards, of this version from 1 on.
func (a *accounts) BeatSharded(ctx context.Context, node string, version int64) error {
	now := a.now()
	return a.write(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		b.Exec(upsertNode, node, protocol.At(now), version)
		b.Exec(sweepSessions, protocol.At(now.Add(-keptFor)), maxSwept)
		b.Exec(sweepNodes, protocol.At(now.Add(-keptFor)))
		b.Exec(sweepTickets, protocol.At(now), maxTicketsSwept)
		return t.Batch(ctx, &b)
	})
}
