// Package delivery brings committed events to every follower on this node: in order, without holes, and exactly from where each follower stands.
//
// The rules:
//
//   - A follower of a room is a session. A live session holds no position: live means that its queue has received everything below the room's next.
//     Positions exist only for sessions that replay or lag.
//   - Bind, read the position, replay, live. Everything that joins late goes this way.
//   - A room's routing is a fold over its log: joins, leaves and deletions take effect in seq order, by the loop that fans out, so that nothing after a
//     removal can reach the removed; a replay applies the same fold for its own user.
//   - What the broker brings are hints. Holes are seen by seq and filled from the Source.
package delivery
