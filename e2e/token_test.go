package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
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
