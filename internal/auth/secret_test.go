package auth_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parley-im/parley/internal/auth"
)

func TestEnsureSecretMakesOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	secret, created, err := auth.EnsureSecret(dir)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	if random, err := base64.RawURLEncoding.DecodeString(string(secret)); err != nil || len(random) != 32 {
		t.Errorf("the secret is %q", secret)
	}
	path := filepath.Join(dir, auth.SecretFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(secret)+"\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	again, created, err := auth.EnsureSecret(dir)
	if err != nil || created || !bytes.Equal(again, secret) {
		t.Errorf("a second time: %q, created %v, %v", again, created, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
}

func TestEnsureSecretAgrees(t *testing.T) {
	const processes = 16
	dir := t.TempDir()
	var secrets [processes]string
	var made [processes]bool
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			secret, created, err := auth.EnsureSecret(dir)
			if err != nil {
				t.Error(err)
			}
			secrets[i], made[i] = string(secret), created
		})
	}
	wg.Wait()
	makers := 0
	for i := range processes {
		if secrets[i] != secrets[0] {
			t.Errorf("%q and %q", secrets[i], secrets[0])
		}
		if made[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d of them say that they made it", makers)
	}
}

func TestLoadSecret(t *testing.T) {
	long := strings.Repeat("s", 32)
	tests := []struct {
		name, content string
		mode          os.FileMode
		want          string
		wantErr       string
	}{
		{name: "plain", content: long, mode: 0o600, want: long},
		{name: "white space around", content: " \t" + long + "\r\n\n", mode: 0o400, want: long},
		{name: "white space inside", content: "a " + long, mode: 0o600, want: "a " + long},
		{name: "short", content: long[1:] + "\n", mode: 0o600, wantErr: "31 bytes"},
		{name: "empty", content: "", mode: 0o600, wantErr: "0 bytes"},
		{name: "huge", content: strings.Repeat("s", 5000), mode: 0o600, wantErr: "larger than 4096"},
		{name: "read by the group", content: long, mode: 0o640, wantErr: "chmod 600"},
		{name: "read by all", content: long, mode: 0o604, wantErr: "mode 0604"},
		{name: "written by the group", content: long, mode: 0o620, wantErr: "open to others"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, auth.SecretFile)
			if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil { // whatever the umask is
				t.Fatal(err)
			}
			got, err := auth.LoadSecret(path)
			if string(got) != tt.want || (err == nil) != (tt.wantErr == "") {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.wantErr) || strings.Contains(err.Error(), "ssss")) {
				t.Errorf("error %v, want one about %q", err, tt.wantErr)
			}
			// What is there is never replaced, good or bad.
			ensured, created, err := auth.EnsureSecret(dir)
			if string(ensured) != tt.want || created || (err == nil) != (tt.wantErr == "") {
				t.Errorf("EnsureSecret: %q, created %v, %v", ensured, created, err)
			}
		})
	}
	if _, err := auth.LoadSecret(t.TempDir()); err == nil {
		t.Error("a folder was accepted")
	}
	if _, err := auth.LoadSecret(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a file that is not there was accepted")
	}
}
