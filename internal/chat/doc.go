// Package chat is the core: rooms, members, messages, reactions, receipts and the inbox, as rules and use cases without I/O.
//
// Writing goes one way. A use case makes an [Append] and gives it to the [Log]; the log gathers what is waiting, locks the rooms, reads what each
// append [Needs] into a [State], and asks [State.Decide], which is pure: it answers with [Effects] (the event to store, the rows as they shall stand,
// the reply) or with a *protocol.Error, and changes nothing. The log applies the effects to the state, so that the next append of the same batch sees
// them, and stores all of them in one transaction.
//
// Reading goes through a [Snapshot] of one room, so that what is answered and the head that it carries belong together (promise 8).
//
// The rules of a concept are in its own file (room.go, message.go …), the use cases of the [Service] beside it (room_service.go …); who may see what is
// in access.go.
//
// The ports at the end of the package are what the core asks of a store. It declares them; internal/store implements them.
package chat
