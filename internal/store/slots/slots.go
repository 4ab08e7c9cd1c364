// Package slots says where rooms and users are placed: each has one of 1,024 slots, which its id alone tells, and a slot is one shard's at a time.
package slots

import (
	"crypto/md5"
	"iter"
	"strings"
)

// Count is how many slots there are.
const Count = 1024

// digits are those of room ids, five bits each.
const digits = "0123456789abcdefghjkmnpqrstvwxyz"

// Room is a room's slot: the two characters behind "r_". What is no room's id, and names no room anywhere, has the slot 0.
func Room(id string) int {
	if len(id) < 4 {
		return 0
	}
	high, low := strings.IndexByte(digits, id[2]), strings.IndexByte(digits, id[3])
	if high < 0 || low < 0 {
		return 0
	}
	return high*32 + low
}

// Prefix is how the ids of a slot's rooms begin.
func Prefix(slot int) string {
	return "r_" + digits[slot/32:slot/32+1] + digits[slot%32:slot%32+1]
}

// User is a user's slot. MD5 spreads ids that people chose, and PostgreSQL has it too; nothing is kept secret by it.
func User(id string) int {
	sum := md5.Sum([]byte(id))
	return int(sum[0])<<2 | int(sum[1])>>6
}

// Set is some of the slots, as PostgreSQL keeps it: bit n%8 of byte n/8.
type Set [Count / 8]byte

// All is every slot.
func All() Set {
	var s Set
	for i := range s {
		s[i] = 0xff
	}
	return s
}

// Has reports whether a slot is in the set.
func (s *Set) Has(slot int) bool { return s[slot/8]>>(slot%8)&1 == 1 }

// Put adds a slot, or takes it out.
func (s *Set) Put(slot int, in bool) {
	s[slot/8] &^= 1 << (slot % 8)
	if in {
		s[slot/8] |= 1 << (slot % 8)
	}
}

// Drop takes out the slots of another set.
func (s *Set) Drop(other *Set) {
	for i := range s {
		s[i] &^= other[i]
	}
}

// Empty reports that no slot is in the set.
func (s *Set) Empty() bool { return *s == Set{} }

// Each is the slots in the set, in their order.
func (s *Set) Each() iter.Seq[int] {
	return func(yield func(int) bool) {
		for slot := range Count {
			if s.Has(slot) && !yield(slot) {
				return
			}
		}
	}
}
