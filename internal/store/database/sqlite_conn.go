package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"

	sqlitedriver "modernc.org/sqlite"
)

// sqliteConn is one connection with its prepared statements. It drives the driver itself: what database/sql does around a statement (its locks, conversions,
// and two goroutines for each context that can end) took as long as small statements do. It is for one goroutine at a time.
type sqliteConn struct {
	conn  driver.Conn
	stmts map[string]driver.Stmt
	rows  []driver.Value // of the row at hand
	ends  bool           // queries end with their context, at the price of a goroutine each; the writer's are short, and are never given up half way
}

func openSQLiteConn(dsn string, ends bool) (*sqliteConn, error) {
	conn, err := (&sqlitedriver.Driver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	return &sqliteConn{conn: conn, stmts: map[string]driver.Stmt{}, ends: ends}, nil
}

func (w *sqliteConn) Close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// stmt prepares a statement once.
func (w *sqliteConn) stmt(q string) (driver.Stmt, error) {
	if s := w.stmts[q]; s != nil {
		return s, nil
	}
	s, err := w.conn.Prepare(q)
	if err == nil {
		w.stmts[q] = s
	}
	return s, err
}

// run carries out a statement without rows.
func (w *sqliteConn) run(q string, args ...any) (int64, error) {
	s, err := w.stmt(q)
	if err != nil {
		return 0, err
	}
	values, err := driverValues(args)
	if err != nil {
		return 0, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(context.Background(), values)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (w *sqliteConn) Exec(_ context.Context, q Text, args ...any) (int64, error) {
	return w.run(q[SQLite], args...)
}

func (w *sqliteConn) Query(ctx context.Context, q Text, args []any, row func(Scan) error) (err error) {
	s, err := w.stmt(q[SQLite])
	if err != nil {
		return err
	}
	values, err := driverValues(args)
	if err != nil {
		return err
	}
	if !w.ends {
		ctx = context.Background()
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, values)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(columns); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		w.rows = columns
		if err := row(w.scan); err != nil {
			return err
		}
	}
}

func (w *sqliteConn) Batch(ctx context.Context, b *Batch) error {
	for _, it := range b.items {
		var err error
		if it.row != nil && !it.alone {
			err = w.Query(ctx, it.q, it.args, it.row)
		} else {
			_, err = w.run(it.q[SQLite], it.args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Owned implements Tx.
func (w *sqliteConn) Owned() *Ownership { return nil }

// scan reads the row at hand.
func (w *sqliteConn) scan(dest ...any) error {
	if len(dest) != len(w.rows) {
		return fmt.Errorf("a row of %d columns read into %d places", len(w.rows), len(dest))
	}
	for i, d := range dest {
		if err := assign(d, w.rows[i]); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// assign puts a column into its place: integers, text and bytes, of whatever named type.
func assign(dest any, v driver.Value) error {
	switch d := dest.(type) {
	case *string:
		if s, ok := v.(string); ok {
			*d = s
			return nil
		}
	case *int64:
		if n, ok := v.(int64); ok {
			*d = n
			return nil
		}
	case *uint64:
		if n, ok := v.(int64); ok {
			*d = uint64(n)
			return nil
		}
	case *[]byte:
		switch b := v.(type) {
		case []byte:
			*d = append((*d)[:0], b...)
			return nil
		case nil:
			*d = nil
			return nil
		}
	default:
		place := reflect.ValueOf(dest).Elem()
		switch v := v.(type) {
		case int64:
			if place.CanInt() {
				place.SetInt(v)
				return nil
			} else if place.CanUint() {
				place.SetUint(uint64(v))
				return nil
			}
		case string:
			if place.Kind() == reflect.String {
				place.SetString(v)
				return nil
			}
		}
	}
	return fmt.Errorf("%T does not fit into %T", v, dest)
}

// driverValues are the parameters as the driver takes them.
func driverValues(args []any) ([]driver.NamedValue, error) {
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		v, err := driverValue(a)
		if err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i+1, err)
		}
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return values, nil
}

func driverValue(a any) (driver.Value, error) {
	switch a := a.(type) {
	case nil, string, int64, []byte:
		return a, nil
	case int:
		return int64(a), nil
	case uint64:
		return int64(a), nil
	}
	v := reflect.ValueOf(a)
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return nil, nil
	case v.Kind() == reflect.Pointer:
		return driverValue(v.Elem().Interface())
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint():
		return int64(v.Uint()), nil
	case v.Kind() == reflect.String:
		return v.String(), nil
	case v.Kind() == reflect.Bool:
		return v.Bool(), nil
	}
	return nil, fmt.Errorf("%T cannot be stored", a)
}
