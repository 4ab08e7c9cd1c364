package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// KeyPrefix begins every API key, and no token: a bearer that begins with it is a key.
const KeyPrefix = "pk_"

// keyBytes are the random bytes of a key: so many that a plain hash of it gives nothing away.
const keyBytes = 32

// NewKey makes an API key, which is shown once, and the hash that is kept of it.
func NewKey() (key string, hash [32]byte) {
	var random [keyBytes]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	key = KeyPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	return key, HashKey(key)
}

// HashKey is what is kept of a key, and what it is looked up by: the time that takes tells nothing about the key.
func HashKey(key string) [32]byte { return sha256.Sum256([]byte(key)) }

// isKey reports whether NewKey may have made the text.
func isKey(text string) bool {
	random, ok := strings.CutPrefix(text, KeyPrefix)
	if !ok || len(random) != base64.RawURLEncoding.EncodedLen(keyBytes) {
		return false
	}
	_, err := base64.RawURLEncoding.DecodeString(random)
	return err == nil
}
