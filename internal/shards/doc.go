// Package shards makes one store of several: PostgreSQL servers that share the rooms and the users of a deployment by 1,024 slots. A [Store] implements every
// port that a store does, by asking the shard whose slot it is, or all of them at once.
//
// The map of slots is cached by every node and may be wrong at any time: a shard knows itself which slots it serves, in the same transaction or snapshot in which
// it answers, and refuses the others; then the map is read again and the right one asked. Nothing is carried out in two shards at once: what needs more than
// one is asked of each and put together, and what was put together says for which slots.
package shards
