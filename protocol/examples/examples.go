// Package examples holds an example of every method and every push, as one story that alice, bob and carol play with a back end, step by step.
//
// The documentation shows the steps that have a title, and a test plays the whole story against a real server, over HTTP and over WebSockets, and
// compares what it says with what stands here. So an example that is not true does not last. What a server makes up (ids of rooms and sessions, times,
// tokens, pages) stands here as one server made it up once.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

//go:embed story
var story embed.FS

// Scene is a part of the story: the steps of one file.
type Scene struct {
	File  string // its name
	Steps []Step
}

// Step is one call with its outcome: a result or an error. A step without a method stops the server.
type Step struct {
	Title  string          `json:"title,omitzero"` // of the example that the step is; a step without one is there for the others
	As     string          `json:"as,omitzero"`    // who calls: a user, or one of their further sessions as user/name; empty: the back end for itself
	TTL    string          `json:"ttl,omitzero"`   // how long the token of this hello is good for, when the step needs it to be short
	Method string          `json:"method,omitzero"`
	Params protocol.Raw    `json:"params,omitzero"`
	Result protocol.Raw    `json:"result,omitzero"`
	Error  *protocol.Error `json:"error,omitzero"`
	Hears  []Heard         `json:"hears,omitempty"`
}

// Heard is a push that follows a step.
type Heard struct {
	Who  string       `json:"who"` // the session, named as in Step.As
	Push protocol.Raw `json:"push"`
}

// Story returns the scenes in their order. It fails only when a file of this package is broken.
func Story() ([]Scene, error) {
	names, err := fs.Glob(story, "story/*.json")
	if err != nil {
		return nil, err
	}
	var scenes []Scene
	for _, name := range names {
		text, err := story.ReadFile(name)
		if err != nil {
			return nil, err
		}
		scene := Scene{File: name[len("story/"):]}
		if err := json.Unmarshal(text, &scene.Steps, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		scenes = append(scenes, scene)
	}
	return scenes, nil
}

// Of picks the examples of a method, those that succeed first.
func Of(scenes []Scene, method string) []Step {
	var good, refused []Step
	for _, scene := range scenes {
		for _, step := range scene.Steps {
			switch {
			case step.Title == "" || step.Method != method:
			case step.Error != nil:
				refused = append(refused, step)
			default:
				good = append(good, step)
			}
		}
	}
	return append(good, refused...)
}

// Push is the first frame of a push in the story, and the step that caused it; ok is false for a push that nobody hears.
func Push(scenes []Scene, name protocol.Name) (frame protocol.Raw, cause Step, ok bool) {
	for _, scene := range scenes {
		for _, step := range scene.Steps {
			for _, heard := range step.Hears {
				var push struct {
					Event protocol.Name `json:"event"`
				}
				if json.Unmarshal(heard.Push, &push) == nil && push.Event == name {
					return heard.Push, step, true
				}
			}
		}
	}
	return nil, Step{}, false
}

// Caller is the user of a step, without the name of the session; empty for the back end.
func (s Step) Caller() string {
	user, _, _ := strings.Cut(s.As, "/")
	return user
}
