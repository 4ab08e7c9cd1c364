package store

import (
	"context"
	"fmt"

	"github.com/parley-im/parley/internal/store/database"
)

var selectOwner = database.Text{database.Postgres: `SELECT o.name, (SELECT count(*) FROM shards) FROM ownership o`}

// checkShard refuses a store that is not the shard that it is taken for.
func checkShard(ctx context.Context, t database.Tx, d database.Dialect, shard string) error {
	if d != database.Postgres {
		return nil
	}
	var name string
	var known int
	found, err := one(ctx, t, selectOwner, nil, &name, &known)
	switch {
	case err != nil:
		return err
	case shard != "" && name != shard:
		return fmt.Errorf("the store that is configured as the shard %s is the shard %s: mend the configuration", shard, name)
	case shard == "" && found && known != 1:
		return fmt.Errorf("the store is the shard %s of several: configure all of them (shards)", name)
	}
	return nil
}
