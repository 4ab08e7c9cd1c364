// Package backup makes and restores backups of a data folder whose store is SQLite. A backup is a folder of its own:
//
//	parley.db      the store at one moment, compact
//	secret         the secret that signs tokens, where the data folder has one
//	backup.json    when and by which version it was made, how much is in it, and the digest of each file
//
// backup.json is written last: a folder without it is no backup. Other engines have tools of their own.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

const (
	storeFile    = "parley.db"
	manifestFile = "backup.json"
	format       = 1
)

// Manifest is backup.json.
type Manifest struct {
	Format   int               `json:"format"`
	Version  string            `json:"version"`
	MadeAt   protocol.Time     `json:"made_at"` // the store is as it was then, or a little later
	Contents store.Contents    `json:"contents"`
	Files    map[string]string `json:"files"` // SHA-256 by name, in hexadecimal
}

// Source says what is backed up.
type Source struct {
	Data    string        // the data folder
	Store   string        // the store as the server was told; "" is the one in the data folder
	Version string        // of Parley, for the manifest
	Now     protocol.Time // likewise
}

// Make backs up into a new folder and returns when it is on disk. A server may be running on the data. progress, which may be nil, is told how many bytes of
// about how many have been written. An error leaves no folder; store.ErrNotSQLite for a store that is none.
func Make(ctx context.Context, from Source, to string, progress func(done, total int64)) (m *Manifest, err error) {
	if err := os.Mkdir(to, 0o700); err != nil {
		return nil, fmt.Errorf("a backup goes into a new folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(to))
		}
	}()
	m = &Manifest{Format: format, Version: from.Version, MadeAt: from.Now, Files: map[string]string{}}
	path := filepath.Join(to, storeFile)
	if m.Contents, err = store.Backup(ctx, store.Options{URL: from.Store, Data: from.Data}, path, progress); err != nil {
		return nil, err
	}
	if m.Files[storeFile], err = digest(path); err != nil {
		return nil, err
	}
	sum, err := copyFile(filepath.Join(from.Data, auth.SecretFile), filepath.Join(to, auth.SecretFile))
	if err == nil {
		m.Files[auth.SecretFile] = sum
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, err := json.Marshal(m, jsontext.Multiline(true))
	if err != nil {
		return nil, err
	}
	return m, writeFile(filepath.Join(to, manifestFile), append(text, '\n'))
}

// Restore makes a data folder of a backup: the store with another epoch, so that clients load their rooms anew, and the secret. The folder may exist, but may
// have no store; a secret that is there is kept, if it is the same. Nothing is restored from a backup of which a file is missing or changed. After an error
// Restore may be called again.
func Restore(ctx context.Context, from, data string) (*Manifest, error) {
	m, err := Check(from)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	target := filepath.Join(data, storeFile)
	for _, old := range []string{target, target + "-wal", target + "-shm"} { // an old write-ahead log would be applied to the restored store
		if _, err := os.Lstat(old); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s exists: restore into another data folder, or move its parley.db, parley.db-wal and parley.db-shm away first", old)
		}
	}
	if sum, ok := m.Files[auth.SecretFile]; ok {
		if err := restoreSecret(filepath.Join(from, auth.SecretFile), filepath.Join(data, auth.SecretFile), sum); err != nil {
			return nil, err
		}
	}
	partial := target + ".restoring"
	for _, old := range []string{partial, partial + "-wal", partial + "-shm"} { // of a Restore that was cut short
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if _, err := copyFile(filepath.Join(from, storeFile), partial); err != nil {
		return nil, err
	}
	if err := renew(ctx, partial); err != nil {
		return nil, err
	}
	if err := os.Rename(partial, target); err != nil {
		return nil, err
	}
	if err := os.Remove(partial + ".lock"); err != nil {
		return nil, err
	}
	return m, syncFolder(data)
}

// Check reads the manifest of a backup and compares its files with it.
func Check(from string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(from, manifestFile))
	if err != nil {
		return nil, fmt.Errorf("%s is no backup, or one that was cut short: %w", from, err)
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s of %s is damaged: %w", manifestFile, from, err)
	}
	if m.Format != format {
		return nil, fmt.Errorf("%s has the form %d, of another version of Parley (%s); this one reads %d", from, m.Format, m.Version, format)
	}
	if m.Files[storeFile] == "" {
		return nil, fmt.Errorf("%s of %s names no %s", manifestFile, from, storeFile)
	}
	for name := range m.Files {
		if name != storeFile && name != auth.SecretFile {
			return nil, fmt.Errorf("%s of %s names a file that no backup has: %q", manifestFile, from, name)
		}
	}
	for name, want := range m.Files {
		switch got, err := digest(filepath.Join(from, name)); {
		case err != nil:
			return nil, fmt.Errorf("the backup is not whole: %w", err)
		case got != want:
			return nil, fmt.Errorf("the backup is damaged: %s is not what was written", filepath.Join(from, name))
		}
	}
	return m, nil
}

// renew opens the store once, which checks it and brings its schema up to date, and gives it another epoch.
func renew(ctx context.Context, path string) (err error) {
	s, err := store.Open(ctx, store.Options{URL: "sqlite:" + path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.NewEpoch(ctx)
}

// restoreSecret puts the secret into the data folder, where there may be the same one.
func restoreSecret(from, to, sum string) error {
	switch have, err := digest(to); {
	case errors.Is(err, fs.ErrNotExist):
		_, err := copyFile(from, to)
		return err
	case err != nil:
		return err
	case have != sum:
		return fmt.Errorf("%s is not the secret of the backup: tokens signed with one are void with the other; remove the one that you do not want", to)
	}
	return nil
}

// copyFile makes a file that only its owner may read, durably, and returns its digest. An error leaves no file.
func copyFile(from, to string) (sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, hash), in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(to))
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// digest is the SHA-256 of a file.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// writeFile makes a file durably, and with it the names in its folder.
func writeFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path)))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
