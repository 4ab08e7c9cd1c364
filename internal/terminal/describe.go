package terminal

import (
	"fmt"
	"strings"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// backEnd stands where an event has no user.
const backEnd = "(back end)"

// author is who did something, safe to print.
func author(user string) string {
	if user == "" {
		return backEnd
	}
	return CleanLine(user)
}

// describe says in words what an event did, after the name of who did it. The result may have several lines, and is safe to print.
func describe(e protocol.Event) string {
	text, err := describeData(e)
	if err != nil {
		return fmt.Sprintf("%s (its data cannot be read: %s)", e.Name, CleanLine(err.Error()))
	}
	return text
}

func describeData(e protocol.Event) (string, error) {
	switch e.Name {
	case protocol.MessageCreated:
		d, err := client.Data[protocol.MessageCreatedData](e.Data)
		return content(d.Text, d.Data, d.Attachments, d.Deleted), err
	case protocol.MessageEdited:
		d, err := client.Data[protocol.MessageEditedData](e.Data)
		return fmt.Sprintf("edited #%d: %s", d.Target, content(d.Text, d.Data, d.Attachments, d.Deleted)), err
	case protocol.MessageDeleted:
		d, err := client.Data[protocol.MessageDeletedData](e.Data)
		return fmt.Sprintf("deleted #%d", d.Target), err
	case protocol.ReactionAdded, protocol.ReactionRemoved:
		d, err := client.Data[protocol.ReactionData](e.Data)
		verb := "reacted to"
		if e.Name == protocol.ReactionRemoved {
			verb = "took back from"
		}
		return fmt.Sprintf("%s #%d: %s", verb, d.Target, CleanLine(d.Emoji)), err
	}
	return describeRoom(e)
}

func describeRoom(e protocol.Event) (string, error) {
	switch e.Name {
	case protocol.RoomCreated:
		d, err := client.Data[protocol.RoomCreatedData](e.Data)
		return fmt.Sprintf("made the %s %s", d.Room.Kind, CleanLine(d.Room.Name)), err
	case protocol.RoomUpdated:
		d, err := client.Data[protocol.RoomUpdatedData](e.Data)
		switch {
		case d.Topic != nil:
			return "set the topic: " + CleanLine(*d.Topic), err
		case d.Name != nil:
			return "named the room " + CleanLine(*d.Name), err
		}
		return "changed the room", err
	case protocol.RoomDeleted:
		return "deleted the room", nil
	case protocol.MemberJoined:
		d, err := client.Data[protocol.MemberJoinedData](e.Data)
		if len(d.Users) == 1 && d.Users[0] == e.User {
			return "joined", err
		}
		return "added " + CleanLine(strings.Join(d.Users, ", ")), err
	case protocol.MemberLeft:
		d, err := client.Data[protocol.MemberLeftData](e.Data)
		if d.Reason == protocol.ReasonLeft {
			return "left", err
		}
		return fmt.Sprintf("%s %s", d.Reason, CleanLine(strings.Join(d.Users, ", "))), err
	case protocol.MemberUpdated:
		d, err := client.Data[protocol.MemberUpdatedData](e.Data)
		if d.Role != "" {
			return fmt.Sprintf("made %s %s", CleanLine(d.User), d.Role), err
		}
		return "changed what " + CleanLine(d.User) + " may do", err
	case protocol.MemberUnbanned:
		d, err := client.Data[protocol.MemberUnbannedData](e.Data)
		return "unbanned " + CleanLine(d.User), err
	}
	return CleanLine(string(e.Name)), nil
}

// content is what a message says, in words where it is not text.
func content(text *string, data, attachments protocol.Raw, deleted bool) string {
	switch {
	case deleted:
		return "(deleted)"
	case text != nil && *text != "":
		return Clean(*text)
	case len(attachments) > 0 && string(attachments) != "null":
		return "(attachments)"
	case len(data) > 0 && string(data) != "null":
		return "(data)"
	}
	return "(empty)"
}
