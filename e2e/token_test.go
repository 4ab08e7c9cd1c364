package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sign makes a token of any claims with the deployment's secret, as an application's back end would.
func (s *server) sign(claims object) string {
	s.t.Helper()
	return s.signAs(object{"alg": "HS256", "typ": "JWT"}, claims)
}

// signAs makes a token with any header, and an HS256 signature in any case.
func (s *server) signAs(header, claims object) string {
	s.t.Helper()
	secret, err := os.ReadFile(filepath.Join(s.dir, "secret"))
	if err != nil {
		s.t.Fatal(err)
	}
	var parts []byte
	for _, part := range []object{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			s.t.Fatal(err)
		}
		parts = append(base64.RawURLEncoding.AppendEncode(parts, text), '.')
	}
	parts = parts[:len(parts)-1]
	mac := hmac.New(sha256.New, bytes.TrimSpace(secret))
	mac.Write(parts)
	return string(base64.RawURLEncoding.AppendEncode(append(parts, '.'), mac.Sum(nil)))
}

// tokenFrom is a token of the user that was issued at a time and is good for an hour.
func (s *server) tokenFrom(user string, issued time.Time) string {
	s.t.Helper()
	return s.sign(object{"sub": user, "iat": issued.Unix(), "exp": time.Now().Add(time.Hour).Unix()})
}

// TestTokensOfTheGuide runs the programs of docs/tokens.md: the server takes what they print.
func TestTokensOfTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	for _, language := range []struct{ name, file, run string }{{"go", "token.go", "go run"}, {"js", "token.mjs", "node"}, {"python", "token.py", "python3"}} {
		t.Run(language.name, func(t *testing.T) {
			_, rest, found := strings.Cut(string(guide), "\n```"+language.name+"\n")
			program, _, ends := strings.Cut(rest, "\n```\n")
			if !found || !ends {
				t.Fatal("docs/tokens.md has no such program")
			}
			command := strings.Fields(language.run)
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("SKIPPED WITHOUT %s: %v", command[0], err)
			}
			file := filepath.Join(t.TempDir(), language.file)
			if err := os.WriteFile(file, []byte(program+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			cmd := exec.Command(command[0], append(command[1:], file, filepath.Join(s.dir, "secret"), "alice")...)
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, errs.String())
			}
			token := strings.TrimSpace(out.String())
			c, err := s.dial("alice", token, object{"device": language.name})
			if err != nil {
				t.Fatalf("%s: %v", token, err)
			}
			if c.hello["user"] != "alice" {
				t.Errorf("the session is %v's", c.hello["user"])
			}
		})
	}
}

// TestTicket gets tickets, over each way in, and for a back end's user.
func TestTicket(t *testing.T) {
	t.Parallel()
	s := start(t)
	alice, b := s.connect("alice", nil), s.backend()
	seen := map[string]bool{}
	for _, result := range []object{alice.call("session.ticket", object{}), b.user("alice").call("session.ticket", object{}), b.user("bob").call("session.ticket", object{})} {
		ticket, _ := result["ticket"].(string)
		expires, err := time.Parse(time.RFC3339, result["expires_at"].(string))
		if left := time.Until(expires); err != nil || len(ticket) < 22 || seen[ticket] || left <= 0 || left > 30*time.Second {
			t.Errorf("ticket %q until %v, %v", ticket, result["expires_at"], err)
		}
		seen[ticket] = true
		if code := s.ask(ticket); code != "unauthenticated" {
			t.Errorf("a ticket in the place of a token: %q", code)
		}
	}
	if _, err := b.try("session.ticket", object{}); err == nil || !strings.HasPrefix(err.Error(), "bad_request Parley-User") {
		t.Errorf("a back end for itself: %v", err)
	}
}
