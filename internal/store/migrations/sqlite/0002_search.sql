-- +goose Up

-- The words of each message as it stands, and '_' with the room's id as one more word. The rowid is the message's time in milliseconds times 2^20, and a
-- number among the messages of that millisecond: FTS5 finds by descending rowid without sorting. The words come folded and split, parted by blanks.
CREATE VIRTUAL TABLE search USING fts5(
	words, room UNINDEXED, seq UNINDEXED,
	content = '', contentless_delete = 1, contentless_unindexed = 1, detail = none, tokenize = "ascii tokenchars '_'"
);
