package database

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-im/parley/internal/testkit"
)

// What the server says decides whether a transaction is tried again, and whether a COMMIT that it said it to may have happened.
func TestWhatPostgresSays(t *testing.T) {
	for _, c := range []struct {
		severity, code, what string
		again, unknown       bool
	}{
		{"ERROR", "40001", "serialization failure", true, false},
		{"ERROR", "40P01", "deadlock", true, false},
		{"ERROR", "55P03", "lock timeout", true, false},
		{"ERROR", "25006", "read only", true, false},
		{"ERROR", "53100", "disk full", true, false},
		{"ERROR", "57014", "statement cancelled", true, false},
		{"ERROR", "58030", "I/O error", true, false},
		{"PANIC", "53100", "disk full below the write-ahead log", true, true},
		{"PANIC", "58030", "fsync failed", true, true},
		{"FATAL", "57P01", "terminated", true, true},
		{"FATAL", "25P03", "idle in a transaction for too long", true, true},
		{"ERROR", "08006", "a pooler lost the server", true, true},
		{"ERROR", "23505", "unique violation", false, false},
		{"ERROR", "42P01", "undefined table", false, false},
		{"ERROR", "", "no code", false, false},
	} {
		said := &pgconn.PgError{Severity: "localized", SeverityUnlocalized: c.severity, Code: c.code, Message: c.what}
		if again := new(postgresEngine).Retryable(fmt.Errorf("wrapped: %w", said)); again != c.again {
			t.Errorf("%s is tried again: %v", c.what, again)
		}
		if unknown := ended(said); unknown != c.unknown {
			t.Errorf("a COMMIT answered with %s may have happened: %v", c.what, unknown)
		}
	}
}

// A transaction that stands still, because its node does, gives its locks up while others still try to get them.
func TestPostgresTakesLocksFromWhoStandsStill(t *testing.T) {
	url := testkit.StartPostgres(t).Database(t)
	open := func() Engine {
		e, err := OpenPostgres(t.Context(), url, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() }) // nothing is left in it
		return e
	}
	frozen, other := open(), open()
	run := func(e Engine, text string, then func()) error {
		return e.Write(context.Background(), Waiting, func(tx Tx) error {
			_, err := tx.Exec(context.Background(), SQL(text))
			if err == nil {
				then()
			}
			return err
		})
	}
	for _, text := range []string{`CREATE TABLE heads (room TEXT PRIMARY KEY, seq BIGINT)`, `INSERT INTO heads VALUES ('r', 1)`} {
		if err := run(frozen, text, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	const touch = `UPDATE heads SET seq = seq + 1`
	held, thaw, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- run(frozen, touch, func() {
			close(held)
			<-thaw
		})
	}()
	<-held
	var err error
	for range 5 { // as often as the log tries, with a lock_timeout of 2 s
		if err = run(other, touch, func() {}); err == nil {
			break
		}
	}
	close(thaw)
	if err != nil {
		t.Errorf("the room stays locked: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("what stood still was committed all the same")
	}
}
