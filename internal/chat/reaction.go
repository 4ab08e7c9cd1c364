package chat

import (
	"github.com/parley-im/parley/protocol"
)

// addReaction decides reaction.add.
func (d *decision) addReaction(p *protocol.ReactionParams) (*Effects, *protocol.Error) {
	target, key, err := d.reaction(p)
	if err != nil {
		return nil, err
	}
	if since, set := d.Reacted[key]; set {
		return alreadySince(since)
	}
	return d.react(protocol.ReactionAdded, target, Reaction{ReactionKey: key})
}

// removeReaction decides reaction.remove.
func (d *decision) removeReaction(p *protocol.ReactionParams) (*Effects, *protocol.Error) {
	target, key, err := d.reaction(p)
	if err != nil {
		return nil, err
	}
	if _, set := d.Reacted[key]; !set {
		return alreadySince(d.Head.Seq)
	}
	return d.react(protocol.ReactionRemoved, target, Reaction{ReactionKey: key, Remove: true})
}

func (d *decision) reaction(p *protocol.ReactionParams) (*Message, ReactionKey, *protocol.Error) {
	key := ReactionKey{Target: p.Seq, User: d.call.Actor.User, Emoji: p.Emoji}
	if err := d.mayWrite(); err != nil {
		return nil, key, err
	}
	target, err := d.target(p.Seq, "seq")
	return target, key, err
}

func (d *decision) react(name protocol.Name, target *Message, r Reaction) (*Effects, *protocol.Error) {
	e, err := d.event(name, protocol.ReactionData{Target: r.Target, Emoji: r.Emoji})
	if err != nil {
		return nil, err
	}
	changed := *target
	changed.Rev = e.Event.Seq
	e.Event.Target, e.Message, e.React = r.Target, &changed, &r
	return e, nil
}
