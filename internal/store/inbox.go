package store

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/words"
	"github.com/parley-im/parley/protocol"
)

var _ chat.Inbox = (*Store)(nil)

// The rooms of a user, for the names m (their row), r and h.
const (
	fromOwnRooms = ` FROM members m CROSS JOIN rooms r CROSS JOIN room_heads h WHERE m.user_id = $1 AND r.id = m.room AND h.room = m.room {rooms m.room}`
	inList       = ` AND m.state = ` + isMember + ` AND r.deleted = 0 AND NOT (m.hidden_at <> 0 AND h.seq <= m.hidden_at)`
	changedSince = ` AND (h.changed >= {at $8} OR m.changed >= {at $8})`
	inboxPage    = `SELECT m.room, h.at, h.last` + fromOwnRooms + inList + ` AND (h.at < $2 OR (h.at = $2 AND m.room < $3))
		AND r.kind IN {list $4} AND m.archived >= $5 AND m.archived <= $6`
	inboxOrder = ` ORDER BY h.at DESC, m.room DESC LIMIT CAST($7 AS BIGINT)`
)

var (
	selectPosition = database.SQL(`SELECT {position}`)
	listInbox      = database.SQL(inboxPage + inboxOrder)
	listInboxSince = database.SQL(inboxPage + changedSince + inboxOrder)

	// What left the list since: memberships that ended, rooms that were deleted, direct rooms that were hidden. Who was banned without ever having been a
	// member never saw the room.
	listRemoved = database.SQL(`SELECT m.room` + fromOwnRooms + ` AND m.joined_seq <> 0 AND (
		(m.state <> ` + isMember + ` AND m.changed >= {at $2})
		OR (m.state = ` + isMember + ` AND r.deleted = 1 AND h.changed >= {at $2})
		OR (m.state = ` + isMember + ` AND r.deleted = 0 AND m.hidden_at <> 0 AND h.seq <= m.hidden_at AND m.changed >= {at $2}))
		ORDER BY m.room`)

	selectScenes     = database.SQL(`SELECT ` + roomCols + `, ` + headCols + ` FROM rooms r JOIN room_heads h ON h.room = r.id WHERE r.id IN {list $1}`)
	selectOwnRows    = database.SQL(`SELECT ` + memberCols + ` FROM members m WHERE m.user_id = $1 AND m.room IN {list $2}`)
	countAllMentions = database.SQL(`SELECT x.room, count(*) FROM members m CROSS JOIN mentions x WHERE m.user_id = $1 AND m.room IN {list $2}
		AND x.room = m.room AND x.user_id = m.user_id AND x.seq > m.read_seq AND x.n > m.sent_n GROUP BY x.room`)
	selectMemberships = database.SQL(`SELECT ` + placeCols + `, m.joined_seq` + fromOwnRooms + ` AND m.state = ` + isMember + ` AND r.deleted = 0`)
)

// inboxKey is a row of a page of the inbox.
type inboxKey struct {
	room string
	at   protocol.Time
	last protocol.Seq
}

// List implements chat.Inbox. Removed is told with the first page.
func (s *Store) List(ctx context.Context, user string, q chat.InboxQuery) (*chat.InboxPage, error) {
	args, err := inboxArgs(user, q)
	if err != nil {
		return nil, err
	}
	page := &chat.InboxPage{}
	err = s.read(ctx, scope{}, func(t database.Tx) error {
		var keys []inboxKey
		var b database.Batch
		b.Query(selectPosition, func(scan database.Scan) error { return scan(&page.Position) })
		list := listInbox
		if q.Since != "" {
			list = listInboxSince
		}
		b.Query(list, collect(&keys, func(scan database.Scan, _ ...any) (k inboxKey, err error) {
			err = scan(&k.room, &k.at, &k.last)
			return k, err
		}), args...)
		if q.Since != "" && q.Page == "" {
			b.Query(listRemoved, collect(&page.Removed, scanString), user, string(q.Since))
		}
		if err := t.Batch(ctx, &b); err != nil {
			return err
		}
		if len(keys) > q.Limit {
			keys = keys[:q.Limit]
			last := keys[q.Limit-1]
			page.Next = PageAfter(strconv.FormatInt(int64(last.at), 10), last.room)
		}
		page.Entries, err = readEntries(ctx, t, user, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

func inboxArgs(user string, q chat.InboxQuery) ([]any, error) {
	key, err := PageKey(q.Page, 2)
	if err != nil {
		return nil, err
	}
	at, room := int64(math.MaxInt64), ""
	if key != nil {
		if at, err = strconv.ParseInt(key[0], 10, 64); err != nil {
			return nil, protocol.Errorf(protocol.BadRequest, "page", "This is not a page of this list: begin without one.")
		}
		room = key[1]
	}
	kinds := q.Kinds
	if len(kinds) == 0 {
		kinds = []protocol.Kind{protocol.Direct, protocol.Group, protocol.Channel, protocol.Live}
	}
	least, most := int64(0), int64(1)
	if q.Archived != nil {
		least = flag(*q.Archived)
		most = least
	}
	args := []any{user, at, room, database.JSONList(kinds), least, most, q.Limit + 1}
	if q.Since != "" {
		if err := checkPosition(q.Since); err != nil {
			return nil, err
		}
		args = append(args, string(q.Since))
	}
	return args, nil
}

// readEntries completes a page of the inbox, in the order of its keys, in one round trip.
func readEntries(ctx context.Context, t database.Tx, user string, keys []inboxKey) ([]chat.InboxEntry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	entries := make([]chat.InboxEntry, len(keys))
	index := make(map[string]*chat.InboxEntry, len(keys))
	rooms := make([]string, len(keys))
	var lasts [][2]any
	for i, k := range keys {
		rooms[i], index[k.room] = k.room, &entries[i]
		if k.last != 0 {
			lasts = append(lasts, [2]any{k.room, k.last})
		}
	}
	var b database.Batch
	queryScenes(&b, user, rooms, func(room string) *chat.Scene { return &index[room].Scene })
	b.Query(countAllMentions, func(scan database.Scan) error {
		var room string
		var count uint64
		err := scan(&room, &count)
		if err == nil {
			index[room].Mentions = count
		}
		return err
	}, user, database.JSONList(rooms))
	found := map[roomSeq]*chat.Message{}
	b.Query(selectStored, func(scan database.Scan) error {
		room, m, err := scanMessage(scan)
		if err == nil {
			found[roomSeq{room, m.Seq}] = m
		}
		return err
	}, database.JSONList(lasts))
	if err := t.Batch(ctx, &b); err != nil {
		return nil, err
	}
	for at, m := range found {
		if e := index[at.room]; at.seq >= e.Scene.From() {
			e.Last = m
		} else {
			delete(found, at)
		}
	}
	b = database.Batch{}
	queryReactions(&b, user, found)
	return entries, t.Batch(ctx, &b)
}

// queryScenes fills the scenes of rooms for one user; scene says where each of them is.
func queryScenes(b *database.Batch, user string, rooms []string, scene func(room string) *chat.Scene) {
	list := database.JSONList(rooms)
	b.Query(selectScenes, func(scan database.Scan) error {
		var h chat.Head
		r, err := scanRoom(scan, headDest(&h)...)
		if err == nil {
			sc := scene(r.ID)
			sc.Room, sc.Head = r, h
		}
		return err
	}, list)
	b.Query(selectOwnRows, func(scan database.Scan) error {
		m, err := scanMember(scan)
		if err == nil {
			scene(m.Room).Me = m
		}
		return err
	}, user, list)
}

// Memberships implements chat.Inbox.
func (s *Store) Memberships(ctx context.Context, user string) ([]chat.Place, error) {
	return s.places(ctx, user, selectMemberships)
}

// maxNames bounds the names of channels that one call looks at, so that a query that matches little costs little; it goes on with the next page.
const maxNames = 5000

var (
	listChannels = database.SQL(`SELECT r.id, r.folded FROM rooms r WHERE r.kind = 'channel' AND r.deleted = 0 AND (r.folded, r.id) > ($1, $2) {rooms r.id}
		ORDER BY r.folded, r.id LIMIT CAST($3 AS BIGINT)`)
	selectBans = database.SQL(`SELECT m.room FROM members m WHERE m.user_id = $1 AND m.state = ` + isBanned)
)

// Browse implements chat.Inbox. A page may hold fewer than limit rooms, even none, and yet have a next one.
func (s *Store) Browse(ctx context.Context, user, query, after string, limit int) (rooms []*chat.Scene, next string, err error) {
	key, err := PageKey(after, 2)
	if err != nil {
		return nil, "", err
	}
	if key == nil {
		key = []string{"", ""}
	}
	words := strings.Fields(words.Fold(query))
	names := make([][2]string, 0, 2*limit)
	most := cap(names) // some for the channels that the user is banned from
	if len(words) > 0 {
		most = maxNames
	}
	err = s.read(ctx, scope{}, func(t database.Tx) error {
		var bans []string
		var b database.Batch
		b.Query(listChannels, collect(&names, func(scan database.Scan, _ ...any) (n [2]string, err error) {
			err = scan(&n[0], &n[1])
			return n, err
		}), key[0], key[1], most)
		b.Query(selectBans, collect(&bans, scanString), user)
		if err := t.Batch(ctx, &b); err != nil {
			return err
		}
		banned := make(map[string]bool, len(bans))
		for _, room := range bans {
			banned[room] = true
		}
		var ids []string
		for i, n := range names {
			if !banned[n[0]] && holdsWords(n[1], words) {
				ids = append(ids, n[0])
			}
			if cut := len(ids) == limit && i < len(names)-1; cut || i == most-1 {
				next = PageAfter(n[1], n[0])
				break
			}
		}
		rooms, err = readScenes(ctx, t, user, ids)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return rooms, next, nil
}

func holdsWords(name string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(name, w) {
			return false
		}
	}
	return true
}

// readScenes reads the rooms for the user, in the order given. All of them exist in this snapshot.
func readScenes(ctx context.Context, t database.Tx, user string, rooms []string) ([]*chat.Scene, error) {
	if len(rooms) == 0 {
		return nil, nil
	}
	scenes := make([]*chat.Scene, len(rooms))
	index := make(map[string]*chat.Scene, len(rooms))
	for i, room := range rooms {
		scenes[i] = &chat.Scene{}
		index[room] = scenes[i]
	}
	var b database.Batch
	queryScenes(&b, user, rooms, func(room string) *chat.Scene { return index[room] })
	return scenes, t.Batch(ctx, &b)
}

// scanString reads a column of text.
func scanString(scan database.Scan, _ ...any) (s string, err error) {
	err = scan(&s)
	return s, err
}
