package store

import (
	"context"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ auth.Keys = (*Store)(nil)

var (
	insertKey = database.SQL(`INSERT INTO keys (name, hash, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET name = excluded.name WHERE keys.hash = excluded.hash`)
	deleteKey = database.SQL(`DELETE FROM keys WHERE name = $1`)
	listKeys  = database.SQL(`SELECT name, created_at FROM keys ORDER BY name`)
	findKey   = database.SQL(`SELECT name FROM keys WHERE hash = $1`)
)

// AddKey implements auth.Keys. The same key again is no error, so that a call whose answer was lost can be repeated.
func (a *accounts) AddKey(ctx context.Context, name string, hash [32]byte) error {
	return a.changeKeys(ctx, auth.ErrKeyExists, insertKey, name, hash[:], protocol.At(a.now()))
}

// RemoveKey implements auth.Keys.
func (a *accounts) RemoveKey(ctx context.Context, name string) error {
	return a.changeKeys(ctx, auth.ErrNoKey, deleteKey, name)
}

// changeKeys carries out a statement that changes one key; otherwise is what it means when none was changed.
func (a *accounts) changeKeys(ctx context.Context, otherwise error, q database.Text, args ...any) error {
	return a.write(ctx, scope{}, func(t database.Tx) error {
		n, err := t.Exec(ctx, q, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return otherwise
		}
		_, err = t.Exec(ctx, markAuth)
		return err
	})
}

// Keys implements auth.Keys.
func (a *accounts) Keys(ctx context.Context) ([]auth.Key, error) {
	var keys []auth.Key
	err := a.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, listKeys, nil, collect(&keys, func(scan database.Scan, _ ...any) (k auth.Key, err error) {
			err = scan(&k.Name, &k.CreatedAt)
			return k, err
		}))
	})
	return keys, err
}

// KeyByHash implements auth.Keys. The hash is looked up by an index: what its time might tell is a hash, from which nobody gets to a key.
func (a *accounts) KeyByHash(ctx context.Context, hash [32]byte) (string, error) {
	var name string
	err := a.read(ctx, scope{}, func(t database.Tx) error {
		found, err := one(ctx, t, findKey, []any{hash[:]}, &name)
		if err == nil && !found {
			return auth.ErrNoKey
		}
		return err
	})
	return name, err
}
