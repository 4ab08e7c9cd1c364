package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Errors of servers that take no writes, and may yet: a standby is promoted, or space is made on a full disk.
var (
	errStandby  = errors.New("the PostgreSQL server is a standby: give the URL of the primary")
	errReadOnly = errors.New("the PostgreSQL server takes no writes: default_transaction_read_only is on, in its settings, the database's or the user's: turn it off there")
)

// Reach looks whether a PostgreSQL server takes connections at a URL. It says nothing of what is in the database. It blocks for as long as ctx lets it.
func Reach(ctx context.Context, url string) error {
	cfg, err := pgxpool.ParseConfig(url) // the URL may have settings of a pool
	if err != nil {
		return fmt.Errorf("the store's URL: %w", err)
	}
	c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// Unreachable reports whether an error says that a PostgreSQL server cannot be reached just now, or takes no writes: nothing about what is in the
// database. That a server refuses who asks is not among it.
func Unreachable(err error) bool {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pe.Code[:min(2, len(pe.Code))] {
		case "08", "53", "57": // a pooler lost the server; too many connections, a full disk; it begins or ends
			return true
		}
		return pe.Code == readOnly
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	return isNetworkError(err) || errors.Is(err, errStandby) || errors.Is(err, errReadOnly) || errors.Is(err, driver.ErrBadConn)
}
