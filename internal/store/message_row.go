package store

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// A message is its message.created event e and, where later events changed it, its overlay row o:
// "FROM events e LEFT JOIN messages o ON o.room = e.room AND o.seq = e.seq".
const messageCols = `e.room, e.seq, e.n, e.user_id, e.client_id, e.at, e.data, e.thread,
	COALESCE(o.content, ''), COALESCE(o.rev, e.seq), COALESCE(o.replies, 0), COALESCE(o.edited_at, 0), COALESCE(o.deleted_at, 0)`

// scanMessage reads messageCols, and after them what rest wants.
func scanMessage(scan database.Scan, rest ...any) (room string, m *chat.Message, err error) {
	var data, content string
	m = &chat.Message{}
	err = scan(append([]any{
		&room, &m.Seq, &m.N, &m.User, &m.ClientID, &m.At, &data, &m.Thread, &content, &m.Rev, &m.Replies, &m.EditedAt, &m.DeletedAt,
	}, rest...)...)
	if err != nil {
		return "", nil, err
	}
	var created protocol.MessageCreatedData
	if err := json.Unmarshal([]byte(data), &created); err != nil {
		return "", nil, fmt.Errorf("message %d of room %s: %w", m.Seq, room, err)
	}
	m.ReplyTo, m.Mentions = created.ReplyTo, created.Mentions
	if m.DeletedAt != 0 {
		return room, m, nil
	}
	m.Content = chat.Content{Text: created.Text, Data: created.Data, Attachments: created.Attachments}
	if content != "" {
		m.Content, err = decodeContent(content)
	}
	return room, m, err
}

// contentColumn is what the overlay row of a message holds: ” while the content is the event's own, and for a deleted message.
func contentColumn(m *chat.Message) string {
	if m.EditedAt == 0 || m.DeletedAt != 0 {
		return ""
	}
	return encodeContent(&m.Content)
}
