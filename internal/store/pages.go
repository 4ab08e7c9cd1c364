package store

import (
	"encoding/base64"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// PageAfter is the name of the page that begins after the row with this key: opaque to those who carry it.
func PageAfter(key ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(database.JSONList(key)))
}

// PageKey is the key that a page's name stands for, nil for the first page.
func PageKey(page string, parts int) ([]string, error) {
	if page == "" {
		return nil, nil
	}
	var key []string
	b, err := base64.RawURLEncoding.DecodeString(page)
	if err == nil {
		err = json.Unmarshal(b, &key)
	}
	if err != nil || len(key) != parts {
		return nil, protocol.Errorf(protocol.BadRequest, "page", "This is not a page of this list: begin without one.")
	}
	return key, nil
}

// checkPosition refuses what no store has given out.
func checkPosition(p chat.Position) error {
	if _, err := strconv.ParseUint(string(p), 10, 63); err != nil {
		return chat.ErrPosition
	}
	return nil
}
