package terminal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/client"
)

const (
	// mostDead is how many lines of the file may be about messages that are gone before it is written anew.
	mostDead = 1000
	// longestEntry bounds a line: a message of the greatest size, escaped.
	longestEntry = 1 << 20
)

// Outbox is a client.OutboxStore in a file: a line for each message that was put and each that was deleted. A line counts once it is whole, so a crash
// in between costs only the message whose Put had not returned.
type Outbox struct {
	path    string
	file    *os.File
	waiting []client.Queued
	dead    int
}

// entry is a line of the file.
type entry struct {
	Put    *client.Queued `json:"put,omitzero"`
	Delete string         `json:"delete,omitzero"`
}

// OpenOutbox opens the file at path, or makes it, readable for its owner alone. If parts of the file cannot be read, a copy of it is set aside, the name of
// which is returned, and what can be read is kept.
func OpenOutbox(path string) (o *Outbox, aside string, err error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", err
	}
	o = &Outbox{path: path}
	if !o.read(content) {
		aside = fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405.000"))
		if err := os.WriteFile(aside, content, 0o600); err != nil {
			return nil, "", err
		}
	}
	return o, aside, o.rewrite()
}

// read takes the lines of a file, and reports false if one of them is none. A last line without an end was never put.
func (o *Outbox) read(content []byte) (whole bool) {
	whole = true
	if i := bytes.LastIndexByte(content, '\n'); i+1 < len(content) {
		content = content[:i+1]
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, longestEntry)
	for lines.Scan() {
		var e entry
		err := json.Unmarshal(lines.Bytes(), &e)
		switch {
		case err == nil && e.Put != nil && e.Put.Message.ClientID != "" && e.Put.Message.Room != "":
			o.waiting = append(o.waiting, *e.Put)
		case err == nil && e.Delete != "":
			o.drop(e.Delete)
		default:
			whole = false
		}
	}
	return whole && lines.Err() == nil
}

func (o *Outbox) drop(clientID string) {
	o.waiting = slices.DeleteFunc(o.waiting, func(q client.Queued) bool { return q.Message.ClientID == clientID })
}

// rewrite makes the file anew, in one step, with what waits.
func (o *Outbox) rewrite() error {
	var b bytes.Buffer
	for _, q := range o.waiting {
		if err := json.MarshalWrite(&b, entry{Put: &q}); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	if err := replace(o.path, b.Bytes()); err != nil {
		return err
	}
	file, err := os.OpenFile(o.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if o.file != nil {
		err = o.file.Close()
	}
	o.file, o.dead = file, 0
	return err
}

// replace writes a file so that it is the old or the new one whatever happens.
func replace(path string, content []byte) (err error) {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// append adds a line, durably. One that could not be written whole is taken back, so that the next does not continue it.
func (o *Outbox) append(e entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	end, err := o.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	_, err = o.file.Write(append(b, '\n'))
	if err == nil {
		err = o.file.Sync()
	}
	if err != nil {
		return errors.Join(err, o.file.Truncate(end))
	}
	return nil
}

// Load returns what waits, in the order of Put.
func (o *Outbox) Load(context.Context) ([]client.Queued, error) {
	return slices.Clone(o.waiting), nil
}

// Put keeps a message. It is on disk when Put returns.
func (o *Outbox) Put(_ context.Context, q client.Queued) error {
	if err := o.append(entry{Put: &q}); err != nil {
		return err
	}
	o.waiting = append(o.waiting, q)
	return nil
}

// Delete forgets a message.
func (o *Outbox) Delete(_ context.Context, clientID string) error {
	o.drop(clientID)
	if o.dead++; o.dead >= mostDead {
		return o.rewrite()
	}
	return o.append(entry{Delete: clientID})
}

// Close closes the file.
func (o *Outbox) Close() error { return o.file.Close() }
