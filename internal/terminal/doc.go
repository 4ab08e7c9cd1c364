// Package terminal is Parley for people at a terminal: the program `parley chat`, and `parley tail`, which prints a room's log.
//
// The chat has three parts. A [Model] is all that the screen shows; it is changed by events (keys, what the server says, the time) and answers each with
// effects, which are data. [Model.View] draws it. [Chat] is the loop: it turns what happens into events and carries the effects out. Model and
// view do no I/O, ask no clock and start nothing, so that tests need no terminal and no server.
//
// What others wrote reaches the terminal only through [Clean] or [CleanLine].
package terminal
