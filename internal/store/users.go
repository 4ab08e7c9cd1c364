package store

import (
	"context"
	"slices"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/words"
	"github.com/parley-im/parley/protocol"
)

var _ chat.Users = (*Store)(nil)

// maxSameName bounds the names that a search looks at before it puts what it found in the order of ids.
const maxSameName = 1000

const userCols = `u.id, u.name, u.avatar, u.data`

var (
	insertUsers = database.SQL(`INSERT INTO users (id, created_at) SELECT p.a, CAST($2 AS BIGINT) FROM {pairs $1} p WHERE true
		ON CONFLICT (id) DO UPDATE SET erased_at = 0 WHERE users.erased_at <> 0`)
	upsertUser = database.SQL(`INSERT INTO users (id, name, folded, avatar, data, created_at)
		VALUES ($1, COALESCE($2, ''), COALESCE($3, ''), COALESCE($4, ''), COALESCE($5, ''), $6)
		ON CONFLICT (id) DO UPDATE SET name = COALESCE($2, users.name), folded = COALESCE($3, users.folded), avatar = COALESCE($4, users.avatar),
			data = COALESCE($5, users.data), erased_at = 0
		RETURNING id, name, avatar, data`)
	selectUsers = database.SQL(`SELECT ` + userCols + ` FROM users u WHERE u.id IN {list $1} AND u.erased_at = 0`)
	searchUsers = database.SQL(`SELECT ` + userCols + ` FROM users u WHERE u.id IN (
			SELECT a.id FROM (SELECT id FROM users WHERE lower(id) >= $1 AND lower(id) < $2 AND erased_at = 0 {users id} ORDER BY lower(id), id LIMIT CAST($3 AS BIGINT)) a
			UNION SELECT b.id FROM (SELECT id FROM users WHERE folded >= $1 AND folded < $2 {users id} ORDER BY folded, id LIMIT CAST($3 AS BIGINT)) b
		) ORDER BY u.id LIMIT CAST($4 AS BIGINT)`)
)

// Ensure implements chat.Users. Users who exist already cost a read only.
func (s *Store) Ensure(ctx context.Context, users ...string) error {
	known, err := s.Get(ctx, users)
	if err != nil {
		return err
	}
	exists := make(map[string]bool, len(known))
	for _, u := range known {
		exists[u.ID] = true
	}
	missing := slices.DeleteFunc(slices.Clone(users), func(id string) bool { return exists[id] })
	if len(missing) == 0 {
		return nil
	}
	return s.ensures.do(ctx, missing)
}

func (s *Store) ensureUsers(ctx context.Context, users [][]string) error {
	all := slices.Concat(users...)
	return s.write(ctx, ofUsers(all...), func(t database.Tx) error {
		_, err := t.Exec(ctx, insertUsers, usersList(all), protocol.At(s.now()))
		return err
	})
}

// usersList is the parameter of insertUsers: sorted, so that two transactions that make the same users do not wait for each other.
func usersList(users []string) string {
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	pairs := make([][2]string, len(users))
	for i, u := range users {
		pairs[i][0] = u
	}
	return database.JSONList(pairs)
}

// Update implements chat.Users. What changes nothing costs a read only.
func (s *Store) Update(ctx context.Context, user string, name, avatar *string, data *protocol.Raw) (*protocol.User, error) {
	known, err := s.Get(ctx, []string{user})
	if err != nil {
		return nil, err
	}
	var stored *string
	if data != nil {
		text := string(*data)
		if data.Kind() == 'n' {
			text = ""
		}
		stored = &text
	}
	if len(known) == 1 {
		u := &known[0]
		same := func(to *string, is string) bool { return to == nil || *to == is }
		if same(name, u.Name) && same(avatar, u.Avatar) && same(stored, string(u.Data)) {
			return u, nil
		}
	}
	var folded *string
	if name != nil {
		f := words.Fold(*name)
		folded = &f
	}
	var u protocol.User
	err = s.write(ctx, ofUsers(user), func(t database.Tx) error {
		return t.Query(ctx, upsertUser, []any{user, name, folded, avatar, stored, protocol.At(s.now())}, func(scan database.Scan) (err error) {
			u, err = scanUser(scan)
			return err
		})
	})
	return &u, err
}

// Get implements chat.Users.
func (s *Store) Get(ctx context.Context, users []string) ([]protocol.User, error) {
	var found []protocol.User
	err := s.read(ctx, ofUsers(users...), func(t database.Tx) error {
		return t.Query(ctx, selectUsers, []any{database.JSONList(users)}, collect(&found, scanUser))
	})
	place := make(map[string]int, len(users))
	for i, id := range users {
		place[id] = i
	}
	slices.SortFunc(found, func(a, b protocol.User) int { return place[a.ID] - place[b.ID] })
	return found, err
}

// Search implements chat.Users. Of very many users whose names begin alike it looks at the first ones.
func (s *Store) Search(ctx context.Context, query string, limit int) ([]protocol.User, error) {
	prefix := words.Fold(query)
	var found []protocol.User
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, searchUsers, []any{prefix, prefix + "\U0010FFFF", maxSameName, limit}, collect(&found, scanUser))
	})
	return found, err
}

// scanUser reads userCols.
func scanUser(scan database.Scan, _ ...any) (protocol.User, error) {
	var u protocol.User
	var data string
	err := scan(&u.ID, &u.Name, &u.Avatar, &data)
	u.Data = raw(data)
	return u, err
}
