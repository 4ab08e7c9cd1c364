package terminal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
)

// Profile is what the chat keeps between runs for one user of one server: the device, the outbox and the drafts. One process at a time has it.
type Profile struct {
	Device string
	Outbox *Outbox
	Drafts map[string]string // by room
	Notes  []string          // what the person should know of it

	dir  string
	lock *os.File
}

// StateDir is the folder below which profiles are kept, by the rules of XDG.
func StateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "parley"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "parley"), nil
}

// OpenProfile opens the profile of a user of a server below dir. It fails if another process has it.
func OpenProfile(dir, url, user string) (p *Profile, err error) {
	sum := sha256.Sum256([]byte(strings.TrimSuffix(url, "/") + "\n" + user))
	p = &Profile{dir: filepath.Join(dir, hex.EncodeToString(sum[:10])), Drafts: map[string]string{}}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	if p.lock, err = os.OpenFile(filepath.Join(p.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(p.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is already chatting with %s on this machine: quit that one, or give this one a place of its own with --state DIR", user, url), p.lock.Close())
	}
	var aside string
	if p.Outbox, aside, err = OpenOutbox(filepath.Join(p.dir, "outbox")); err != nil {
		return nil, errors.Join(err, p.lock.Close())
	}
	if aside != "" {
		p.Notes = append(p.Notes, "the outbox was damaged: what could be read of it is kept, and a copy is in "+aside)
	}
	if err := p.readSmall(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// readSmall reads the device, which is made if there is none, and the drafts, without which one can live.
func (p *Profile) readSmall() error {
	if content, err := os.ReadFile(p.drafts()); err == nil && json.Unmarshal(content, &p.Drafts) != nil {
		p.Drafts = map[string]string{}
		p.Notes = append(p.Notes, "the drafts could not be read")
	}
	path := filepath.Join(p.dir, "device")
	content, err := os.ReadFile(path)
	if p.Device = strings.TrimSpace(string(content)); err == nil && p.Device != "" {
		return nil
	}
	p.Device = "terminal-" + rand.Text()
	return replace(path, []byte(p.Device+"\n"))
}

func (p *Profile) drafts() string { return filepath.Join(p.dir, "drafts") }

// SaveDrafts keeps the drafts.
func (p *Profile) SaveDrafts(drafts map[string]string) error {
	content, err := json.Marshal(drafts)
	if err != nil {
		return err
	}
	return replace(p.drafts(), content)
}

// Close gives the profile back.
func (p *Profile) Close() error { return errors.Join(p.Outbox.Close(), p.lock.Close()) }
