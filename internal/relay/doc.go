// Package relay turns the log into lasting work: what must follow from every event, though no caller waits for it. The first such work is the search index.
//
// Each room has a mark: the seq up to which its events have been applied. The relay looks for rooms whose log goes on past their mark and has the store
// apply the events in between, which writes what follows from them and moves the mark in one transaction. The mark is compared before it is moved: an event
// is applied again when a node dies before the commit, is never left out, and when two relays meet one of them has done nothing.
//
// A relay is woken by its node's commits and looks by itself twice a second for what other nodes have left. Nodes share the rooms by leases in the store;
// nothing but the sharing rests on them.
//
// The log comes first: transactions are small, and between two of them the relay waits for as long as the last one took.
package relay
