// Package feed brings the events of the logs to the application's own systems, over a broker.Exchange.
//
// The store keeps what is to be put: the relay makes a job for every event, in the transaction that applies it, and the job goes when the engine has acknowledged
// the entry. So nothing is lost when a node or the engine dies, and an entry may be put twice. A [Feeder] takes the jobs of one store's share of rooms, those of
// a room in the order of their seqs, and reads each event as it stands then: of a message that was deleted meanwhile there is no text any more.
//
// An engine that is away is tried again for ever. An entry that it refuses is tried a few times, while its room waits; then it becomes a dead letter and the room
// goes on without it.
//
// Nodes share the rooms by leases in the store. Two feeders that meet (one stood still for longer than its lease) put some entries twice, and each in order.
package feed
