package auth

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const (
	// SecretFile is the name of the secret's file in a data folder.
	SecretFile = "secret"

	// MinSecretBytes is the shortest secret: HS256 is not stronger than its key.
	MinSecretBytes = 32

	maxSecretBytes = 4 << 10
)

func checkSecret(secret []byte) error {
	if len(secret) < MinSecretBytes {
		return fmt.Errorf("the secret has %d bytes; it must have at least %d, such as `openssl rand -base64 32` makes", len(secret), MinSecretBytes)
	}
	return nil
}

// LoadSecret reads a secret: the file's text without the white space around it. It refuses a file that others than its owner may read or write, except
// that one of root's may be readable by a group of ours, and a secret of fewer than MinSecretBytes.
func LoadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the secret %s is not a file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && !isRootsForUs(info) {
		return nil, fmt.Errorf("the secret %s is open to others than its owner (mode %04o): chmod 600 %s", path, perm, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	if len(text) > maxSecretBytes {
		return nil, fmt.Errorf("the secret %s is larger than %d bytes", path, maxSecretBytes)
	}
	secret := bytes.TrimSpace(text)
	if err := checkSecret(secret); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return secret, nil
}

// isRootsForUs reports whether a file is root's, which lets read it those alone who are of one group, and we are of that group without being root. So an
// orchestrator gives a secret to a container that runs as somebody else.
func isRootsForUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	groups, err := os.Getgroups()
	return ok && err == nil && isRootsFor(info.Mode().Perm(), stat.Uid, stat.Gid, os.Geteuid(), append(groups, os.Getegid()))
}

func isRootsFor(perm fs.FileMode, owner, group uint32, we int, groups []int) bool {
	return perm&0o037 == 0 && owner == 0 && group != 0 && we != 0 && slices.Contains(groups, int(group))
}

// EnsureSecret loads the secret of a data folder, and makes both if they are not there: created tells that the secret is new. Of several processes that
// start at once one makes it and all return the same.
func EnsureSecret(dir string) (secret []byte, created bool, err error) {
	path := filepath.Join(dir, SecretFile)
	secret, err = LoadSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make the data folder: %w", err)
	}
	created, err = createSecret(dir, path)
	if err != nil {
		return nil, false, fmt.Errorf("make the secret: %w", err)
	}
	secret, err = LoadSecret(path)
	return secret, created, err
}

// createSecret makes the file, unless another process was faster. It is written under another name and then linked, which like O_EXCL fails if the name
// is taken, but never shows anyone half a secret.
func createSecret(dir, path string) (created bool, err error) {
	f, err := os.CreateTemp(dir, "."+SecretFile+"-*") // mode 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(random[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, err
	}
	switch err := os.Link(f.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, syncFolder(dir)
}

// syncFolder makes a new name in a folder durable: tokens signed with the secret must outlive a power cut.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
