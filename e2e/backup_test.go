package e2e

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A backup that is made while everybody writes holds everything that was acknowledged before it began. Restored elsewhere, the logs are whole; positions of
// before get `reset`, and a message sent again is stored once.
func TestBackupUnderLoad(t *testing.T) {
	const writers, each = 4, 200 // before the backup begins; then they go on until it is done
	s := start(t, unlimited...)
	rooms := make([]string, writers)
	last := make([]atomic.Uint64, writers) // the seq that was acknowledged last
	stop := make(chan struct{})
	var writing, warm sync.WaitGroup
	writing.Add(writers)
	warm.Add(writers)
	epoch := s.connect("reader", nil).hello["epoch"]
	for w := range writers {
		user := fmt.Sprint("writer", w)
		c := s.connect(user, nil)
		rooms[w] = c.call("room.create", object{"kind": "group", "name": user})["room"].(object)["id"].(string)
		go func() {
			defer writing.Done()
			for i := 0; ; i++ {
				if i == each {
					warm.Done()
				}
				select {
				case <-stop:
					if i > each {
						return
					}
				default:
				}
				result, err := c.try("message.send", object{"room": rooms[w], "client_id": fmt.Sprint("m", i), "text": fmt.Sprintf("message %d of %s", i, user)})
				if err != nil {
					t.Error(err)
					return
				}
				last[w].Store(uint64(result["seq"].(float64)))
			}
		}()
	}
	warm.Wait()
	acknowledged := make([]uint64, writers)
	for w := range acknowledged {
		acknowledged[w] = last[w].Load()
	}
	dir := filepath.Join(t.TempDir(), "backup")
	command(t, "backup", "--data", s.dir, "--to", dir)
	time.Sleep(50 * time.Millisecond) // more is written, which the backup must not have
	close(stop)
	writing.Wait()
	s.kill()

	data := filepath.Join(t.TempDir(), "data")
	command(t, "restore", "--from", dir, "--data", data)
	restored := startIn(t, "parley", data, unlimited...)
	for w, room := range rooms {
		restored.checkRestored(fmt.Sprint("writer", w), room, epoch, acknowledged[w], last[w].Load())
	}
}

// checkRestored looks at the log of one writer's room, which had reached least when the backup began and ended at most.
func (s *server) checkRestored(user, room string, epoch any, least, most uint64) {
	t := s.t
	t.Helper()
	c, err := s.dial(user, s.token(user), object{"resume": object{"epoch": epoch, "rooms": object{room: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	head := uint64(c.expect("reset", signal("reset", room)).data()["head"].(float64))
	if head < least || head > most {
		t.Errorf("%s: the restored log ends at %d; %d was acknowledged before the backup, %d in the end", user, head, least, most)
	}
	var seqs []uint64
	for after := uint64(0); after < head; after = seqs[len(seqs)-1] {
		for _, e := range c.call("event.list", object{"room": room, "after": after, "limit": 1000})["events"].([]any) {
			seqs = append(seqs, uint64(e.(object)["seq"].(float64)))
		}
	}
	for i, seq := range seqs {
		if seq != uint64(i)+1 {
			t.Fatalf("%s: the restored log has %d in place %d", user, seq, i+1)
		}
	}
	known := c.call("message.send", object{"room": room, "client_id": "m7", "text": "message 7 of " + user})
	if known["duplicate"] != true {
		t.Errorf("%s: a message from before the backup was stored twice: %v", user, known)
	}
	if seq := c.send(room, "new", "after the restore"); seq != head+1 {
		t.Errorf("%s: the log goes on with %d, want %d", user, seq, head+1)
	}
}
