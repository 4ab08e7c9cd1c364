// Package app puts a server together: it is the only package that knows all the others. [New] opens what a server stands on, [App.Run] serves until it is
// told to stop, and drains.
package app
