package store

import (
	"context"
	"math"
	"slices"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// listing reads messages of a room with $2 <= seq < $3 in one direction: of the whole room, or of the thread of the root $5.
type listing struct{ room, thread database.Text }

var (
	older = newListing(`DESC`)
	newer = newListing(`ASC`)

	sumReactions = database.SQL(`SELECT x.room, x.target, x.emoji, count(*), sum(CASE WHEN x.user_id = $2 THEN 1 ELSE 0 END)
		FROM {places $1} p CROSS JOIN reactions x WHERE x.room = p.a AND x.target = p.b
		GROUP BY x.room, x.target, x.emoji ORDER BY x.room, x.target, min(x.seq)`)
)

// newListing makes the texts for an order. The seqs of a thread are picked by a query of their own, which its index answers alone.
func newListing(order string) listing {
	const (
		message = ` LEFT JOIN messages o ON o.room = e.room AND o.seq = e.seq WHERE e.room = $1`
		limit   = ` LIMIT CAST($4 AS BIGINT)`
	)
	return listing{
		room: database.SQL(`SELECT ` + messageCols + ` FROM events e` + message + ` AND e.seq >= $2 AND e.seq < $3 AND e.name = 'message.created'
			ORDER BY e.seq ` + order + limit),
		thread: database.SQL(`SELECT ` + messageCols + ` FROM (SELECT t.seq FROM events t
			WHERE t.room = $1 AND t.thread = $5 AND t.thread <> 0 AND t.seq >= $2 AND t.seq < $3
			ORDER BY t.seq ` + order + limit + `) p CROSS JOIN events e` + message + ` AND e.seq = p.seq ORDER BY e.seq ` + order),
	}
}

// Messages implements chat.Snapshot. Reactions stand in the order in which their emojis were first set.
func (s *snapshot) Messages(ctx context.Context, q chat.MessageQuery) (messages []*chat.Message, more bool, err error) {
	end := s.head.Last + 1 // no message is past it
	switch {
	case q.Around != 0:
		messages, more, err = s.around(ctx, q, end)
	case q.After != nil:
		if *q.After >= end {
			return nil, false, nil
		}
		if messages, err = s.list(ctx, newer, q, max(q.From, *q.After+1), end); len(messages) > q.Limit {
			messages, more = messages[:q.Limit], true
		}
	default:
		if q.Before != 0 {
			end = min(end, q.Before)
		}
		if messages, err = s.list(ctx, older, q, q.From, end); len(messages) > q.Limit {
			messages, more = messages[:q.Limit], true
		}
		slices.Reverse(messages)
	}
	if err != nil || len(messages) == 0 {
		return nil, false, err
	}
	found := make(map[roomSeq]*chat.Message, len(messages))
	for _, m := range messages {
		found[roomSeq{s.room, m.Seq}] = m
	}
	var b database.Batch
	queryReactions(&b, s.user, found)
	return messages, more, s.t.Batch(ctx, &b)
}

// around takes half of the messages from before the position; what one side does not have the other gives.
func (s *snapshot) around(ctx context.Context, q chat.MessageQuery, end protocol.Seq) ([]*chat.Message, bool, error) {
	before, err := s.list(ctx, older, q, q.From, min(q.Around, end))
	if err != nil {
		return nil, false, err
	}
	after, err := s.list(ctx, newer, q, max(q.From, q.Around), end)
	if err != nil {
		return nil, false, err
	}
	left := min(len(before), max(q.Limit/2, q.Limit-len(after)))
	right := min(len(after), q.Limit-left)
	more := left < len(before) || right < len(after)
	before = before[:left]
	slices.Reverse(before)
	return append(before, after[:right]...), more, nil
}

// list reads one message more than the limit, so that one can see whether there are more.
func (s *snapshot) list(ctx context.Context, l listing, q chat.MessageQuery, from, end protocol.Seq) ([]*chat.Message, error) {
	if from >= end {
		return nil, nil
	}
	statement, args := l.room, []any{s.room, from, end, q.Limit + 1}
	if q.Thread != 0 {
		statement, args = l.thread, append(args, min(q.Thread, math.MaxInt64))
	}
	var messages []*chat.Message
	err := s.t.Query(ctx, statement, args, func(scan database.Scan) error {
		_, m, err := scanMessage(scan)
		messages = append(messages, m)
		return err
	})
	return messages, err
}

// queryReactions completes the messages with their reactions, as the user sees them.
func queryReactions(b *database.Batch, user string, messages map[roomSeq]*chat.Message) {
	places := make([][2]any, 0, len(messages))
	for at := range messages {
		places = append(places, [2]any{at.room, at.seq})
	}
	b.Query(sumReactions, func(scan database.Scan) error {
		var at roomSeq
		var r protocol.Reaction
		var mine int64
		err := scan(&at.room, &at.seq, &r.Emoji, &r.Count, &mine)
		if err == nil {
			r.Mine = mine > 0
			messages[at].Reactions = append(messages[at].Reactions, r)
		}
		return err
	}, database.JSONList(places), user)
}
