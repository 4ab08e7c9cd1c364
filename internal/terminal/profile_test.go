package terminal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

func queued(id string) client.Queued {
	return client.Queued{Message: protocol.MessageSendParams{Room: "r_1", ClientID: id, Text: "text of " + id}, At: beginning()}
}

func ids(o *Outbox) (all []string) {
	for _, q := range o.waiting {
		all = append(all, q.Message.ClientID)
	}
	return all
}

func open(t interface{ Fatal(...any) }, path string) (*Outbox, string) {
	o, aside, err := OpenOutbox(path)
	if err != nil {
		t.Fatal(err)
	}
	return o, aside
}

// Wherever a crash cuts the file off, what was put and not deleted before is there, in order.
func TestTheOutboxSurvivesACrashAnywhere(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "outbox")
		_ = os.Remove(path) // of the check before
		o, _ := open(t, path)
		var want []string
		sizes := map[int64][]string{0: nil} // what waits, by the size of the file
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			var err error
			if len(want) > 0 && rapid.Bool().Draw(t, "delete") {
				err = o.Delete(context.Background(), want[0])
				want = want[1:]
			} else {
				id := fmt.Sprint("c", i)
				err = o.Put(context.Background(), queued(id))
				want = append(slices.Clone(want), id)
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			sizes[info.Size()] = want
		}
		end, _ := o.file.Seek(0, 2)
		_ = o.Close()
		cut := rapid.Int64Range(0, end).Draw(t, "cut")
		if err := os.Truncate(path, cut); err != nil {
			t.Fatal(err)
		}
		at := int64(0)
		for size := range sizes {
			if size <= cut {
				at = max(at, size)
			}
		}
		again, aside := open(t, path)
		defer again.Close()
		if got := ids(again); !slices.Equal(got, sizes[at]) || aside != "" {
			t.Fatalf("cut at %d of %d: %v waits, not %v; set aside: %q", cut, end, got, sizes[at], aside)
		}
	})
}

func TestADamagedOutboxIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	o, _ := open(t, path)
	for _, id := range []string{"a", "b"} {
		if err := o.Put(context.Background(), queued(id)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.file.WriteString("\x00\xffnonsense\n{\"put\":{}}\n"); err != nil {
		t.Fatal(err)
	}
	if err := o.Put(context.Background(), queued("c")); err != nil {
		t.Fatal(err)
	}
	_ = o.Close()
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o, aside := open(t, path)
	if got := ids(o); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%v waits", got)
	}
	if kept, err := os.ReadFile(aside); err != nil || string(kept) != string(damaged) {
		t.Errorf("what was set aside (%v) is %q", err, kept)
	}
	_ = o.Close()
	if o, aside = open(t, path); aside != "" || len(o.waiting) != 3 {
		t.Errorf("opened again: %d wait, set aside %q", len(o.waiting), aside)
	}
	_ = o.Close()
}

func TestTheOutboxDoesNotGrowForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	o, _ := open(t, path)
	defer o.Close()
	if err := o.Put(context.Background(), queued("stays")); err != nil {
		t.Fatal(err)
	}
	o.dead = mostDead - 1
	for range 2 {
		if err := o.Put(context.Background(), queued("goes")); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Delete(context.Background(), "goes"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if one := ids(o); !slices.Equal(one, []string{"stays"}) || len(content) > 200 || o.dead != 0 {
		t.Errorf("%v waits in %d bytes", one, len(content))
	}
	if err := o.Put(context.Background(), queued("after")); err != nil {
		t.Errorf("the file that was written anew takes nothing: %v", err)
	}
}

func TestAProfileIsOneUsersOfOneServer(t *testing.T) {
	dir := t.TempDir()
	alice, err := OpenProfile(dir, "http://a", "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenProfile(dir, "http://a/", "alice"); err == nil {
		t.Error("two processes would have it at once")
	}
	other, err := OpenProfile(dir, "http://a", "bob")
	if err != nil {
		t.Fatal(err)
	}
	if other.Device == alice.Device {
		t.Error("two users are one device")
	}
	if err := alice.SaveDrafts(map[string]string{"r_1": "begun"}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Profile{alice, other} {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := OpenProfile(dir, "http://a", "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Device != alice.Device || again.Drafts["r_1"] != "begun" {
		t.Errorf("not as it was left: %+v", again)
	}
	files, err := filepath.Glob(filepath.Join(again.dir, "*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v (%v)", file, info.Mode(), err)
		}
	}
}
