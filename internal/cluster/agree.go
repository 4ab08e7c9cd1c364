package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What a node has to do with others before it counts as live where that matters: to answer, or to beat once more.
const (
	askTime  = 2 * time.Second
	lookTime = time.Second
	ghostly  = beatEvery + 5*time.Second // a node that has not beaten for so long has ended
)

// Join writes this node's row and compares it with those of the nodes that live. Nodes that differ in a setting on which they must agree are refused: the error
// names each, unless warn says that the log is to. Nodes whose levels are more than one apart are refused always. What a node that was killed has left behind is no
// reason: where one differs, it is asked whether it lives, or given 20 s to beat. A node that is refused has no row.
func (c *Cluster) Join(ctx context.Context, warn bool) error {
	// Each writes before it reads: of two that start together at least one sees the other.
	if err := c.announce(ctx); err != nil {
		return err
	}
	err := c.agree(ctx, warn)
	if err != nil {
		return errors.Join(err, c.Registry.WithdrawNode(context.WithoutCancel(ctx), c.Self.ID))
	}
	return nil
}

func (c *Cluster) agree(ctx context.Context, warn bool) error {
	live, err := c.Registry.LiveNodes(ctx)
	if err != nil {
		return err
	}
	var differing []Node
	for _, n := range live {
		if n.ID != c.Self.ID && (tooFar(c.Self, n) || len(Differences(c.Self, n)) > 0) {
			differing = append(differing, n)
		}
	}
	if differing, err = c.awake(ctx, differing); err != nil || len(differing) == 0 {
		return err
	}
	var told []error
	for _, n := range differing {
		if tooFar(c.Self, n) {
			return fmt.Errorf("node %s runs version %s, which is too far from this one, %s, to run together with it: upgrade in steps, one version after the other, "+
				"or stop all nodes first", n.ID, n.Version, c.Self.Version)
		}
		for _, d := range Differences(c.Self, n) {
			told = append(told, errors.New(d))
		}
	}
	if warn {
		for _, d := range told {
			c.Log.Warn("this node is not set to what another one is", "difference", d)
		}
		return nil
	}
	return fmt.Errorf("this node is not set to what the others are:\n%w\nGive all nodes the same values. To change one node after the other, start them with "+
		"cluster.differences: warn until all have the new values", errors.Join(told...))
}

// tooFar reports whether nodes do not understand each other.
func tooFar(a, b Node) bool { return max(a.Level, b.Level)-min(a.Level, b.Level) > 1 }

// Differences are the settings in which two nodes differ that must not, each as a sentence about the first. A setting that one of them does not know is no difference: it
// is of another version.
func Differences(here, other Node) (sentences []string) {
	at := other.ID
	if other.Address != "" {
		at += " (" + other.Address + ")"
	}
	for _, name := range slices.Sorted(maps.Keys(here.Settings)) {
		theirs, known := other.Settings[name]
		switch ours := here.Settings[name]; {
		case !known || ours == theirs:
		case name == SecretSetting:
			sentences = append(sentences, fmt.Sprintf("%s is another one than on node %s: tokens of one are refused by the other; give both the same secret_file", name, at))
		default:
			sentences = append(sentences, fmt.Sprintf("%s is %s here and %s on node %s", name, orNothing(ours), orNothing(theirs), at))
		}
	}
	return sentences
}

// SecretSetting is the name in Node.Settings of a digest of the secret that signs tokens.
const SecretSetting = "secret"

func orNothing(value string) string {
	if strings.TrimSpace(value) == "" {
		return "empty"
	}
	return value
}

// awake are those of the nodes that live now. A node that can be asked is asked; another one shows it by its next beat.
func (c *Cluster) awake(ctx context.Context, nodes []Node) (live []Node, err error) {
	for _, n := range nodes {
		if n.Address != "" {
			if c.answers(ctx, n) {
				live = append(live, n)
			}
			continue
		}
		if c.Now().Sub(n.BeatAt) < ghostly {
			c.Log.Info("a node with other settings was live a moment ago; waiting to see whether it is", "node", n.ID)
		}
		lives, err := c.beats(ctx, n)
		if err != nil {
			return nil, err
		}
		if lives {
			live = append(live, n)
		}
	}
	return live, nil
}

// answers reports whether a node is there. One that is reached and does not answer is, if it is not another.
func (c *Cluster) answers(ctx context.Context, n Node) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	status, err := c.ask(ctx, n)
	return err == nil && status.Node == n.ID || err != nil && !unreached(err)
}

// beats waits for the node's next beat, and reports whether there was one.
func (c *Cluster) beats(ctx context.Context, n Node) (bool, error) {
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for c.Now().Sub(n.BeatAt) < ghostly {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-look.C:
		}
		live, err := c.Registry.LiveNodes(ctx)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(live, func(now Node) bool { return now.ID == n.ID })
		if i < 0 {
			return false, nil
		}
		if live[i].BeatAt.After(n.BeatAt) {
			return true, nil
		}
	}
	return false, nil
}
