package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/words"
	"github.com/parley-im/parley/protocol"
)

// What a transaction of the log reads, in at most two round trips after the lock.
var (
	selectRooms     = database.SQL(`SELECT ` + roomCols + ` FROM rooms r WHERE r.id IN {list $1}`)
	selectFreeHeads = database.SQL(`SELECT h.room, ` + headCols + ` FROM room_heads h WHERE h.room IN {list $1}`)
	selectMembers   = database.SQL(`SELECT ` + memberCols + ` FROM {pairs $1} p CROSS JOIN members m WHERE m.room = p.a AND m.user_id = p.b`)
	selectExisting  = database.SQL(`SELECT id FROM users WHERE id IN {list $1}`)
	selectOwners    = database.SQL(`SELECT count(*) FROM members WHERE room = $1 AND state = 1 AND role = 'owner'`)
	selectReaction  = database.SQL(`SELECT seq FROM reactions WHERE room = $1 AND target = $2 AND emoji = $3 AND user_id = $4`)
	selectKnown     = database.SQL(`SELECT e.room, e.user_id, e.client_id, e.seq, e.n, e.at, e.name, e.hash, e.data
		FROM {triples $1} p CROSS JOIN events e WHERE e.room = p.a AND e.user_id = p.b AND e.client_id = p.c AND e.client_id <> ''
		UNION ALL SELECT k.room, k.user_id, k.client_id, k.seq, k.n, k.at, k.name, k.hash, k.data
		FROM {triples $1} p CROSS JOIN kept_ids k WHERE k.room = p.a AND k.user_id = p.b AND k.client_id = p.c`)
	selectStored = database.SQL(`SELECT ` + messageCols + ` FROM {places $1} p CROSS JOIN events e LEFT JOIN messages o ON o.room = e.room AND o.seq = e.seq
		WHERE e.room = p.a AND e.seq = p.b AND e.name = 'message.created'`)
	// selectNumbers are the message numbers at places: where the event is no longer kept, that before the first one that is.
	selectNumbers = database.SQL(`SELECT p.a, p.b, CASE WHEN e.seq > p.b AND e.name = 'message.created' THEN e.n - 1 ELSE e.n END
		FROM {places $1} p CROSS JOIN events e
		WHERE e.room = p.a AND e.seq = (SELECT min(x.seq) FROM events x WHERE x.room = p.a AND x.seq >= p.b)`)
)

// needs gathers what all items of a transaction need.
type needs struct {
	rooms, heads, exist []string
	members             [][2]string
	known               [][3]string
	targets             [][2]any
	numbers             [][2]any
	owners              []string
	reactions           []chat.ReactionKey
	reactionRooms       []string
}

func (w *work) gather() *needs {
	n := &needs{}
	for room := range w.rooms {
		n.rooms = append(n.rooms, room)
		if !w.locked[room] {
			n.heads = append(n.heads, room)
		}
	}
	for _, it := range w.items {
		if it.move != nil {
			for _, r := range it.move.Rooms {
				n.members = append(n.members, [2]string{r.Room, it.move.Actor.User})
				if r.Read > 0 {
					n.numbers = append(n.numbers, [2]any{r.Room, r.Read})
				}
			}
			continue
		}
		a := it.append
		need := a.Needs()
		for _, u := range need.Members {
			n.members = append(n.members, [2]string{a.Room, u})
		}
		n.exist = append(n.exist, need.Exist...)
		if need.Known {
			n.known = append(n.known, [3]string{a.Room, a.Actor.User, a.ClientID})
		}
		if need.Owners {
			n.owners = append(n.owners, a.Room)
		}
		if need.Target != 0 {
			n.targets = append(n.targets, [2]any{a.Room, need.Target})
			if need.Emoji != "" {
				n.reactions = append(n.reactions, chat.ReactionKey{Target: need.Target, User: a.Actor.User, Emoji: need.Emoji})
				n.reactionRooms = append(n.reactionRooms, a.Room)
			}
		}
	}
	return n
}

// read fills the states with everything that the items need.
func (w *work) read(ctx context.Context, t database.Tx) error {
	n := w.gather()
	var b database.Batch
	b.Query(selectRooms, func(scan database.Scan) error {
		r, err := scanRoom(scan)
		if err == nil {
			w.rooms[r.ID].Room = r
		}
		return err
	}, database.JSONList(n.rooms))
	if len(n.heads) > 0 {
		b.Query(selectFreeHeads, func(scan database.Scan) error {
			room, h, err := scanHead(scan)
			if err == nil {
				w.rooms[room].Head = h
			}
			return err
		}, database.JSONList(n.heads))
	}
	if len(n.members) > 0 {
		b.Query(selectMembers, func(scan database.Scan) error {
			m, err := scanMember(scan)
			if err == nil {
				w.rooms[m.Room].Members[m.User] = m
			}
			return err
		}, database.JSONList(n.members))
	}
	if len(n.known) > 0 {
		b.Query(selectKnown, w.readKnown, database.JSONList(n.known))
	}
	if len(n.exist) > 0 && w.c.exist == nil {
		w.queryExisting(&b, n.exist)
	}
	for _, room := range n.owners {
		b.Query(selectOwners, func(scan database.Scan) error { return scan(&w.rooms[room].Owners) }, room)
	}
	for i, key := range n.reactions {
		s := w.rooms[n.reactionRooms[i]]
		b.Query(selectReaction, func(scan database.Scan) error {
			var seq protocol.Seq
			err := scan(&seq)
			s.Reacted[key] = seq
			return err
		}, n.reactionRooms[i], key.Target, key.Emoji, key.User)
	}
	if len(n.targets) > 0 {
		w.queryMessages(&b, n.targets)
	}
	if len(n.numbers) > 0 {
		w.queryNumbers(&b, n.numbers)
	}
	if err := t.Batch(ctx, &b); err != nil {
		return err
	}
	return w.readRoots(ctx, t)
}

// readRoots is the second round: the roots of the threads that were met.
func (w *work) readRoots(ctx context.Context, t database.Tx) error {
	var roots [][2]any
	for room, s := range w.rooms {
		for _, m := range s.Messages {
			if m.Thread != 0 && s.Messages[m.Thread] == nil {
				roots = append(roots, [2]any{room, m.Thread})
			}
		}
	}
	if len(roots) == 0 {
		return nil
	}
	var b database.Batch
	w.queryMessages(&b, roots)
	return t.Batch(ctx, &b)
}

func (w *work) readKnown(scan database.Scan) error {
	var room, data string
	var key chat.ClientKey
	var k chat.Known
	var hash []byte
	if err := scan(&room, &key.User, &key.ClientID, &k.Seq, &k.N, &k.At, &k.Name, &hash, &data); err != nil {
		return err
	}
	copy(k.Hash[:], hash)
	k.Data = protocol.Raw(data)
	w.rooms[room].Known[key] = k
	return nil
}

func (w *work) queryExisting(b *database.Batch, users []string) {
	b.Query(selectExisting, func(scan database.Scan) error {
		var id string
		err := scan(&id)
		for _, s := range w.rooms {
			s.Users[id] = true
		}
		return err
	}, database.JSONList(users))
}

func (w *work) queryMessages(b *database.Batch, places [][2]any) {
	b.Query(selectStored, func(scan database.Scan) error {
		room, m, err := scanMessage(scan)
		if err == nil {
			w.rooms[room].Messages[m.Seq] = m
		}
		return err
	}, database.JSONList(places))
}

func (w *work) queryNumbers(b *database.Batch, places [][2]any) {
	b.Query(selectNumbers, func(scan database.Scan) error {
		var room string
		var seq protocol.Seq
		var n uint64
		err := scan(&room, &seq, &n)
		w.numbers[roomSeq{room, seq}] = n
		return err
	}, database.JSONList(places))
}

// roomSeq is a place in a log.
type roomSeq struct {
	room string
	seq  protocol.Seq
}

// numberAt is the message number at an event: the head's own, or one that queryNumbers has read. From an event on of which nothing is kept the head's is all
// that there is.
func (w *work) numberAt(room string, seq protocol.Seq, head chat.Head) uint64 {
	if n, kept := w.numbers[roomSeq{room, seq}]; kept && seq != head.Seq {
		return n
	}
	return head.N
}

// scanHead reads a room's id and headCols.
func scanHead(scan database.Scan) (room string, h chat.Head, err error) {
	err = scan(append([]any{&room}, headDest(&h)...)...)
	return room, h, err
}

// What a transaction of the log writes, in one round trip.
var (
	insertRoom = database.SQL(`INSERT INTO rooms (id, kind, name, folded, topic, avatar, data, settings, created_at, created_by, first, members, pair, deleted, due)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`)
	updateRoom = database.SQL(`UPDATE rooms SET name = $2, folded = $3, topic = $4, avatar = $5, data = $6, settings = $7, first = $8, members = $9, deleted = $10,
		due = CASE WHEN settings <> $7 OR deleted <> $10 THEN $11 ELSE due END WHERE id = $1`)
	insertHead  = database.SQL(`INSERT INTO room_heads (room, seq, n, last, at, changed, applied) VALUES ($1, $2, $3, $4, $5, {changed}, 0)`)
	updateHead  = database.SQL(`UPDATE room_heads SET seq = $2, n = $3, last = $4, at = $5, changed = {changed} WHERE room = $1`)
	insertEvent = database.SQL(`INSERT INTO events (room, seq, name, at, user_id, data, n, client_id, hash, target, thread)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`)
	redactCreated = database.SQL(`UPDATE events SET data = $3 WHERE room = $1 AND seq = $2`)
	redactEdited  = database.SQL(`UPDATE events SET data = $3 WHERE room = $1 AND name = 'message.edited'
		AND seq IN (SELECT t.seq FROM events t WHERE t.room = $1 AND t.target = $2 AND t.target <> 0)`)
	dropMentions  = database.SQL(`DELETE FROM mentions WHERE room = $1 AND seq = $2 AND user_id IN {list $3}`)
	dropReactions = database.SQL(`DELETE FROM reactions WHERE room = $1 AND target = $2`)
	upsertMessage = database.SQL(`INSERT INTO messages (room, seq, content, rev, replies, edited_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (room, seq) DO UPDATE SET content = excluded.content, rev = excluded.rev, replies = excluded.replies,
			edited_at = excluded.edited_at, deleted_at = excluded.deleted_at`)
	insertMention  = database.SQL(`INSERT INTO mentions (room, user_id, seq, n) VALUES ($1, $2, $3, $4)`)
	insertReaction = database.SQL(`INSERT INTO reactions (room, target, emoji, user_id, seq) VALUES ($1, $2, $3, $4, $5)`)
	deleteReaction = database.SQL(`DELETE FROM reactions WHERE room = $1 AND target = $2 AND emoji = $3 AND user_id = $4`)

	// Cursors only ever grow here, whatever another node has written meanwhile: the row was read without a lock on it.
	upsertMember = database.SQL(`INSERT INTO members (room, user_id, state, role, joined_at, joined_seq, left_seq, muted_until, read_seq, read_n, delivered,
			sent_n, sent_at, notify, pinned, archived, hidden_at, changed, gone_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0, 0, {changed}, $15)
		ON CONFLICT (room, user_id) DO UPDATE SET state = excluded.state, role = excluded.role, joined_at = excluded.joined_at,
			joined_seq = excluded.joined_seq, left_seq = excluded.left_seq, muted_until = excluded.muted_until,
			read_n = CASE WHEN excluded.read_seq > members.read_seq THEN excluded.read_n ELSE members.read_n END,
			read_seq = CASE WHEN excluded.read_seq > members.read_seq THEN excluded.read_seq ELSE members.read_seq END,
			delivered = CASE WHEN excluded.delivered > members.delivered THEN excluded.delivered ELSE members.delivered END,
			sent_n = excluded.sent_n, sent_at = excluded.sent_at, changed = excluded.changed, gone_at = excluded.gone_at`)
	updateSent    = database.SQL(`UPDATE members SET sent_n = $3, sent_at = $4 WHERE room = $1 AND user_id = $2`)
	updateCursors = database.SQL(`UPDATE members SET
			read_n = CASE WHEN $3 > read_seq THEN $4 ELSE read_n END, read_seq = CASE WHEN $3 > read_seq THEN $3 ELSE read_seq END,
			delivered = CASE WHEN $5 > delivered THEN $5 ELSE delivered END, changed = {changed}
		WHERE room = $1 AND user_id = $2 AND state = 1 {returning read_seq, read_n, delivered}`)
)

// write stores what was decided.
func (w *work) write(ctx context.Context, t database.Tx) error {
	var b database.Batch
	heads := map[string]bool{}
	rooms := map[string]bool{}
	for _, e := range w.effects {
		heads[e.Event.Room] = true
		rooms[e.Event.Room] = rooms[e.Event.Room] || e.Room != nil
		w.writeEffects(&b, e)
	}
	for _, room := range sortedKeys(heads) {
		s := w.rooms[room]
		q := updateHead
		if !w.locked[room] {
			q = insertHead
			r := s.Room
			b.Exec(insertRoom, r.ID, string(r.Kind), r.Name, words.Fold(r.Name), r.Topic, r.Avatar, string(r.Data), encodeSettings(r.Settings), r.CreatedAt,
				r.CreatedBy, r.First, r.Members, r.Pair, flag(r.Deleted), dueAt(r, w.now))
		} else if rooms[room] {
			r := s.Room
			b.Exec(updateRoom, r.ID, r.Name, words.Fold(r.Name), r.Topic, r.Avatar, string(r.Data), encodeSettings(r.Settings), r.First, r.Members, flag(r.Deleted),
				dueAt(r, w.now))
		}
		b.Exec(q, room, s.Head.Seq, s.Head.N, s.Head.Last, s.Head.At)
	}
	w.writeMembers(&b)
	if b.Empty() {
		return nil
	}
	return t.Batch(ctx, &b)
}

func (w *work) writeEffects(b *database.Batch, e *chat.Effects) {
	ev := e.Event
	b.Exec(insertEvent, ev.Room, ev.Seq, string(ev.Name), ev.At, ev.User, string(ev.Data), ev.N, ev.ClientID, ev.Hash[:], ev.Target, ev.Thread)
	if m := e.Message; m != nil {
		b.Exec(upsertMessage, ev.Room, m.Seq, contentColumn(m), m.Rev, m.Replies, m.EditedAt, m.DeletedAt)
	}
	if e.Redact != 0 {
		m := w.rooms[ev.Room].Messages[e.Redact]
		b.Exec(redactCreated, ev.Room, e.Redact, string(chat.RedactedCreated(m)))
		b.Exec(redactEdited, ev.Room, e.Redact, string(chat.RedactedEdited(e.Redact)))
		if len(m.Mentions) > 0 {
			b.Exec(dropMentions, ev.Room, e.Redact, database.JSONList(m.Mentions))
		}
		b.Exec(dropReactions, ev.Room, e.Redact)
	}
	for _, user := range e.Mentioned {
		b.Exec(insertMention, ev.Room, user, ev.Seq, ev.N)
	}
	if r := e.React; r != nil && r.Remove {
		b.Exec(deleteReaction, ev.Room, r.Target, r.Emoji, r.User)
	} else if r != nil {
		b.Exec(insertReaction, ev.Room, r.Target, r.Emoji, r.User, ev.Seq)
	}
}

// writeMembers writes each changed member row once, in the order of their keys, so that two transactions cannot wait for each other.
func (w *work) writeMembers(b *database.Batch) {
	keys := make([]memberKey, 0, len(w.dirty))
	for key := range w.dirty {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b memberKey) int { return cmp.Or(cmp.Compare(a.room, b.room), cmp.Compare(a.user, b.user)) })
	for _, key := range keys {
		d := w.dirty[key]
		s := w.rooms[key.room]
		m := s.Members[key.user]
		if len(d.reports) > 0 {
			b.WriteShared(updateCursors, func(scan database.Scan) error {
				now := *m
				err := scan(&now.Read, &now.ReadN, &now.Delivered)
				for _, r := range d.reports {
					r.row.Read, r.row.Delivered, r.row.Unread = now.Read, now.Delivered, now.Unread(r.n)
				}
				return err
			}, key.room, key.user, m.Read, m.ReadN, m.Delivered)
		}
		switch {
		case d.wide:
			b.Exec(upsertMember, m.Room, m.User, int(m.State), string(m.Role), m.JoinedAt, m.JoinedSeq, m.LeftSeq, m.MutedUntil, m.Read, m.ReadN,
				m.Delivered, m.SentN, m.SentAt, string(m.Notify), goneAt(m, w.now))
		case d.sent:
			b.Exec(updateSent, m.Room, m.User, m.SentN, m.SentAt)
		}
	}
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
