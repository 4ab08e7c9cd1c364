package database

import (
	"context"
	"testing"

	"github.com/parley-im/parley/internal/testkit"
)

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
