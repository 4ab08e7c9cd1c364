package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strconv"
)

// names derives room ids from the store's secret: "r_", two characters for the slot (1,024 of them, so that a room can be placed by its id alone), and
// 26 characters of HMAC-SHA-256: 130 bits that nobody outside can guess. One pair has one room, and a repeated room.create one result, on any node, by
// primary key alone. The slot comes from the part of the input that never changes, so that all generations of a pair's room share a shard.
type names struct {
	secret []byte
}

// crockford's alphabet in lower case: no letters that are mistaken for digits.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// Direct implements chat.Names.
func (n *names) Direct(a, b string, generation int) string {
	pair := min(a, b) + "|" + max(a, b)
	return n.derive("direct|"+pair, "|"+strconv.Itoa(generation))
}

// Created implements chat.Names.
func (n *names) Created(user, clientID string) string {
	return n.derive("create|"+user+"|"+clientID, "")
}

// Random implements chat.Names.
func (n *names) Random() string { return n.derive("random|"+rand.Text(), "") }

// Key is a key of this store's for one purpose: the same on every node and after a restart, and no other store's.
func (n *names) Key(purpose string) []byte {
	h := hmac.New(sha256.New, n.secret)
	h.Write([]byte("key|" + purpose))
	return h.Sum(nil)
}

// Secret is what all that is this deployment's is derived from. It is for the other shards of the same deployment, and for nobody else.
func (n *names) Secret() []byte { return slices.Clone(n.secret) }

func (n *names) derive(stable, rest string) string {
	return "r_" + n.mac("slot|" + stable)[:2] + n.mac("room|" + stable + rest)[:26]
}

func (n *names) mac(s string) string {
	h := hmac.New(sha256.New, n.secret)
	h.Write([]byte(s))
	return idEncoding.EncodeToString(h.Sum(nil))
}
