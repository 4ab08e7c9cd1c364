package store

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// The columns that make one object, for the tables under the names r (rooms), h (room_heads), m (members) and e (events), and for the functions below
// that read them.
const (
	roomCols   = `r.id, r.kind, r.name, r.topic, r.avatar, r.data, r.settings, r.created_at, r.created_by, r.first, r.members, r.pair, r.deleted`
	headCols   = `h.seq, h.n, h.last, h.at`
	memberCols = `m.room, m.user_id, m.state, m.role, m.joined_at, m.joined_seq, m.left_seq, m.muted_until, m.read_seq, m.read_n, m.delivered, m.sent_n, m.sent_at, m.notify, m.pinned, m.archived, m.hidden_at`
	eventCols  = `e.room, e.seq, e.name, e.at, e.user_id, e.data, e.n, e.client_id, e.hash, e.target, e.thread`
)

// scanRoom reads roomCols, and after them what rest wants.
func scanRoom(scan database.Scan, rest ...any) (*chat.Room, error) {
	var (
		r              chat.Room
		data, settings string
		deleted        int64
	)
	err := scan(append([]any{
		&r.ID, &r.Kind, &r.Name, &r.Topic, &r.Avatar, &data, &settings, &r.CreatedAt, &r.CreatedBy, &r.First, &r.Members, &r.Pair, &deleted,
	}, rest...)...)
	if err != nil {
		return nil, err
	}
	r.Data, r.Deleted = raw(data), deleted != 0
	if r.Settings, err = decodeSettings(settings); err != nil {
		return nil, fmt.Errorf("room %s: %w", r.ID, err)
	}
	return &r, nil
}

// headDest are the places for headCols.
func headDest(h *chat.Head) []any { return []any{&h.Seq, &h.N, &h.Last, &h.At} }

// scanMember reads memberCols, and after them what rest wants.
func scanMember(scan database.Scan, rest ...any) (*chat.Member, error) {
	var (
		m                chat.Member
		pinned, archived int64
	)
	err := scan(append([]any{
		&m.Room, &m.User, &m.State, &m.Role, &m.JoinedAt, &m.JoinedSeq, &m.LeftSeq, &m.MutedUntil, &m.Read, &m.ReadN, &m.Delivered,
		&m.SentN, &m.SentAt, &m.Notify, &pinned, &archived, &m.HiddenAt,
	}, rest...)...)
	if err != nil {
		return nil, err
	}
	m.Pinned, m.Archived = pinned != 0, archived != 0
	return &m, nil
}

// scanEvent reads eventCols, and after them what rest wants. What the event does to memberships is taken from its data.
func scanEvent(scan database.Scan, rest ...any) (*chat.Event, error) {
	var (
		e    chat.Event
		data string
		hash []byte
	)
	err := scan(append([]any{
		&e.Room, &e.Seq, &e.Name, &e.At, &e.User, &data, &e.N, &e.ClientID, &hash, &e.Target, &e.Thread,
	}, rest...)...)
	if err != nil {
		return nil, err
	}
	e.Data = raw(data)
	copy(e.Hash[:], hash)
	return &e, fold(&e)
}

// fold sets what the event does to memberships: Joined, Left and Reason. Only events that are about members have their data parsed.
func fold(e *chat.Event) error {
	var err error
	switch e.Name {
	case protocol.RoomCreated:
		var data struct {
			Members []protocol.MemberRole `json:"members"`
		}
		err = json.Unmarshal(e.Data, &data)
		e.Joined = make([]string, len(data.Members))
		for i, m := range data.Members {
			e.Joined[i] = m.User
		}
	case protocol.MemberJoined:
		var data protocol.MemberJoinedData
		err = json.Unmarshal(e.Data, &data)
		e.Joined = data.Users
	case protocol.MemberLeft:
		var data protocol.MemberLeftData
		err = json.Unmarshal(e.Data, &data)
		e.Left, e.Reason = data.Users, data.Reason
	}
	if err != nil {
		return fmt.Errorf("event %d of room %s: %w", e.Seq, e.Room, err)
	}
	return nil
}

// raw is a column of JSON; an empty one is absent.
func raw(column string) protocol.Raw {
	if column == "" {
		return nil
	}
	return protocol.Raw(column)
}

// encodeSettings is how a room's settings are stored.
func encodeSettings(s protocol.Settings) string { return encode(s) }

// defaultSettings are what most rooms have: they need not be parsed each time.
var defaultSettings = encodeSettings(protocol.DefaultSettings())

func decodeSettings(column string) (protocol.Settings, error) {
	s := protocol.DefaultSettings() // a setting that is younger than the row has its default
	if column == defaultSettings {
		return s, nil
	}
	if err := json.Unmarshal([]byte(column), &s); err != nil {
		return s, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// encodeContent is how an edited message's content is stored; an empty column stands for the event's own.
func encodeContent(c *chat.Content) string { return encode(c) }

func decodeContent(column string) (chat.Content, error) {
	var c chat.Content
	if err := json.Unmarshal([]byte(column), &c); err != nil {
		return c, fmt.Errorf("content: %w", err)
	}
	return c, nil
}

// encode is for values of our own types, which always encode. JSON of the application keeps its spelling.
func encode(v any) string {
	b, err := json.Marshal(v, jsontext.EscapeForHTML(false), jsontext.PreserveRawStrings(true))
	if err != nil {
		panic("store: a value that does not encode: " + err.Error())
	}
	return string(b)
}

// flag is a bool as it is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
