// Package retention lets go of what is to be kept no longer: events past their room's settings.retention_days, what a deleted room has left, and what is
// remembered for a time only (the ids of pruned calls, the rows of those who are members no more).
//
// It is no part of the relay, which follows every event at once: this looks at rooms that are due, once a minute, and never in a hurry. A room that is due is
// claimed in the store by setting its time ahead, so that it is one node's at a time without any other lease, and so that the rooms of a node that died are
// due again a little later. Nothing but the sharing rests on it: the store prunes under the lock of the room's head, and a batch that another node was
// quicker with does nothing.
//
// The log comes first: a transaction takes a hundred events, and then the sweep waits for as long as it took.
package retention
