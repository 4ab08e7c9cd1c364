package e2e

import (
	"testing"

	"github.com/parley-im/parley/internal/testkit"
)

// The disk is full, below the data or below the write-ahead log. In the first case a node's reads go on; in the second PostgreSQL gives itself up, and somebody
// has to start it again when there is room. Nobody touches Parley.
func TestPostgresDiskIsFull(t *testing.T) {
	t.Parallel()
	t.Run("the data", func(t *testing.T) {
		disk := testkit.NewDisk(t, "128m")
		pg := disk.StartPostgresData()
		nodes := twoNodes(t, pg.Database(t))
		talk := converse(t, nodes, 40)
		fillAgain(t, disk, nodes, talk)
	})
	t.Run("the write-ahead log", func(t *testing.T) {
		disk := testkit.NewDisk(t, "24m")
		pg := disk.StartPostgresLog("max_wal_size=1GB", "checkpoint_timeout=1h", "wal_recycle=off") // no part of the log is used again
		nodes := twoNodes(t, pg.Database(t))
		talk := converse(t, nodes, 40)
		for range cycles(1, 30) {
			talkUntil(t, talk, talk.count()+100)
			disk.Fill()
			if err := soon("PostgreSQL does not give itself up", pg.Gone); err != nil {
				t.Fatal(err)
			}
			disk.Free()
			pg.Start()
		}
		talkUntil(t, talk, talk.count()+200)
		end(t, talk, nodes)
	})
}

// The same below SQLite.
func TestSQLiteDiskIsFull(t *testing.T) {
	t.Parallel()
	disk := testkit.NewDisk(t, "64m")
	nodes := []*server{startIn(t, "parley", disk.Path(), unlimited...)}
	talk := converse(t, nodes, 40)
	fillAgain(t, disk, nodes, talk)
}

// fillAgain has the disk be full again and again, while reads go on, and judges what everybody saw.
func fillAgain(t *testing.T, disk *testkit.Disk, nodes []*server, talk *conversation) {
	t.Helper()
	for range cycles(1, 30) {
		talkUntil(t, talk, talk.count()+100)
		disk.Fill()
		outage(t, nodes, 12, func() { reads(t, talk) })
		disk.Free()
	}
	talkUntil(t, talk, talk.count()+200)
	end(t, talk, nodes)
}
