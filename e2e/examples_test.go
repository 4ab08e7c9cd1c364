package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/protocol"
	"github.com/parley-im/parley/protocol/examples"
)

var update = flag.Bool("update", false, "TestExamplesAreTrue: write down what the server answers instead of comparing with it")

// Every method and every push has an example, and the server does what the examples say: the story is played whole, over HTTP and over WebSockets.
func TestExamplesAreTrue(t *testing.T) {
	for _, transport := range []string{"websocket", "http"} {
		t.Run(transport, func(t *testing.T) {
			scenes, err := examples.Story()
			if err != nil {
				t.Fatal(err)
			}
			p := newPlay(t, transport == "http")
			for _, scene := range scenes {
				for i := range scene.Steps {
					p.where = fmt.Sprintf("%s, step %d", scene.File, i+1)
					p.step(&scene.Steps[i])
				}
			}
			if *update && !t.Failed() && transport == "websocket" {
				writeStory(t, scenes)
			}
		})
	}
}

func TestEverythingHasAnExample(t *testing.T) {
	scenes, err := examples.Story()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range protocol.Methods() {
		if of := examples.Of(scenes, m.Name); len(of) == 0 || of[0].Error != nil {
			t.Errorf("%s has no example that succeeds", m.Name)
		}
	}
	for _, push := range protocol.Pushes() {
		if _, _, ok := examples.Push(scenes, push.Name); !ok {
			t.Errorf("nobody hears %s", push.Name)
		}
	}
}

// play is one performance of the story.
type play struct {
	t        *testing.T
	server   *server
	key      string
	overHTTP bool
	sessions map[string]*client
	real     map[string]string // what this server made up, by what stands for it in the story
	where    string
}

func newPlay(t *testing.T, overHTTP bool) *play {
	s := start(t, "--drain", "50ms")
	return &play{t: t, server: s, key: s.key("story"), overHTTP: overHTTP, sessions: map[string]*client{}, real: map[string]string{}}
}

// step carries out one step and looks at what follows.
func (p *play) step(step *examples.Step) {
	heard := map[string]int{}
	for who, session := range p.sessions {
		heard[who] = session.heard()
	}
	if step.Method == "" {
		p.server.stop()
	} else {
		p.call(step)
	}
	for i := range step.Hears {
		p.listen(&step.Hears[i], heard[step.Hears[i].Who])
	}
}

// call makes the call of a step and compares its outcome.
func (p *play) call(step *examples.Step) {
	params := p.fill(step)
	deadline := time.Now().Add(patience)
	for {
		err := p.judge(step, p.ask(step, params))
		if err == nil {
			return
		}
		// The index of search follows the log within a second; everything else is so at once.
		if step.Method != protocol.MessageSearch || time.Now().After(deadline) {
			p.t.Fatalf("%s: %s: %v", p.where, step.Method, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// judge compares an answer with the outcome of the step, and in an update takes it over.
func (p *play) judge(step *examples.Step, answer object) error {
	want := object{}
	if step.Error == nil {
		want["result"] = parse(step.Result)
	} else if body, err := jsonv2.Marshal(step.Error); err != nil {
		return err
	} else {
		want["error"] = parse(body)
	}
	if !*update {
		return p.same(want, answer, "")
	}
	if (step.Error == nil) != (answer["error"] == nil) {
		return fmt.Errorf("the outcome is of another kind: %v", answer)
	}
	if result, ok := answer["result"].(object); ok {
		if messages, ok := result["messages"].([]any); ok && len(messages) == 0 {
			return errors.New("nothing was found")
		}
	}
	_ = p.same(want, answer, "") // binds what stands in both; the rest is new
	var err error
	raw := p.rewrite(answer["raw"].(json.RawMessage))
	if step.Error != nil {
		var failed struct{ Error *protocol.Error }
		err = jsonv2.Unmarshal(raw, &failed, jsonv2.MatchCaseInsensitiveNames(true))
		step.Error = failed.Error
	} else {
		var done struct {
			Result jsontext.Value `json:"result"`
		}
		err = jsonv2.Unmarshal(raw, &done)
		step.Result = done.Result
	}
	return err
}

// ask makes the call and returns {result} or {error}, in an update with the raw answer too.
func (p *play) ask(step *examples.Step, params object) object {
	var raw []byte
	var err error
	switch {
	case step.Method == protocol.Hello:
		raw, err = p.hello(step, params)
	case p.overHTTP || step.As == "":
		raw, err = p.post(step, params)
	default:
		raw, err = p.sessions[step.As].ask(step.Method, params)
	}
	if err != nil {
		p.t.Fatalf("%s: %s: %v", p.where, step.Method, err)
	}
	answer := parse(raw).(object)
	delete(answer, "id")
	if *update {
		answer["raw"] = json.RawMessage(raw)
	}
	return answer
}

func (p *play) hello(step *examples.Step, params object) ([]byte, error) {
	session, err := p.server.open()
	if err != nil {
		return nil, err
	}
	session.user = step.Caller()
	p.sessions[step.As] = session
	reply, err := session.ask(step.Method, params)
	if err == nil {
		session.hello, _ = parse(reply).(object)["result"].(object) // none when it was refused
	}
	return reply, err
}

// ask makes a call and returns the reply as it came.
func (c *client) ask(method string, params any) ([]byte, error) {
	reply, err := c.begin(method, params)
	if err != nil {
		return nil, err
	}
	select {
	case f, ok := <-reply:
		if !ok {
			return nil, errCut
		}
		return f.raw, nil
	case <-time.After(patience):
		return nil, errors.New("no reply")
	}
}

// heard is how many pushes have come so far.
func (c *client) heard() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pushes)
}

func (p *play) post(step *examples.Step, params object) ([]byte, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.server.addr+"/v1/"+step.Method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	credential := p.key
	if user := step.Caller(); user != "" {
		credential = p.server.token(user)
		r.Header.Set("Parley-Session", p.sessions[step.As].hello["session"].(string))
	}
	r.Header.Set("Authorization", "Bearer "+credential)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		answer = slices.Concat([]byte(`{"result":`), answer, []byte("}"))
	}
	return answer, err
}

// listen waits for a push that is as the story says.
func (p *play) listen(heard *examples.Heard, from int) {
	want := parse(heard.Push).(object)
	name := want["event"].(string)
	session := p.sessions[heard.Who]
	var last error
	f, _, err := session.wait(from, func(f frame) bool {
		if f.Event != name || p.overheard(f, want) {
			return false
		}
		if *update {
			return true
		}
		before := maps.Clone(p.real)
		if last = p.same(want, parse(f.raw), ""); last != nil {
			p.real = before
		}
		return last == nil
	})
	switch {
	case err != nil:
		p.t.Fatalf("%s: %s hears no such %s: %v; the last one: %v; came: %s", p.where, heard.Who, name, err, last, session.summary())
	case *update:
		_ = p.same(want, parse(f.raw), "")
		heard.Push = p.rewrite(f.raw)
	}
}

// overheard reports a push that is about another room than the one that is waited for.
func (p *play) overheard(f frame, want object) bool {
	room, ok := want["room"].(string)
	return ok && f.Room != p.real[room]
}

// fill makes the params of a call from those of the story: with this server's ids, and with tokens that are good.
func (p *play) fill(step *examples.Step) object {
	params := parse([]byte(p.replace(step.Params, p.real))).(object)
	if token, ok := params["token"].(string); ok && strings.HasPrefix(token, "eyJ") {
		more := []string{}
		if step.TTL != "" {
			more = append(more, "--ttl", step.TTL)
		}
		params["token"] = p.server.token(step.Caller(), more...)
	}
	return params
}

// rewrite puts what stands for this server's ids in the story in their place.
func (p *play) rewrite(raw []byte) jsontext.Value {
	names := map[string]string{}
	for stands, real := range p.real {
		names[real] = stands
	}
	return jsontext.Value(p.replace(raw, names))
}

// replace changes every string of a JSON text, names included, that the table has.
func (p *play) replace(raw []byte, table map[string]string) string {
	return quoted.ReplaceAllStringFunc(string(raw), func(text string) string {
		if by, ok := table[text[1:len(text)-1]]; ok {
			return `"` + by + `"`
		}
		return text
	})
}

var (
	quoted  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	instant = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	roomID  = regexp.MustCompile(`^r_[0-9a-z]{20,}$`)
)

// Members of these names hold what a server makes up: strings, and numbers that depend on the moment.
var (
	madeUp    = []string{"session", "epoch", "node", "token", "page", "ticket"}
	momentary = []string{"retry_after_ms", "delay_ms", "from", "to"}
)

// same compares what came with what the story says. What a server makes up may differ, but must be the same wherever the story has the same.
func (p *play) same(want, got any, path string) error {
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch want := want.(type) {
	case object:
		got, ok := got.(object)
		if !ok {
			return fmt.Errorf("%s is no object: %v", path, got)
		}
		var errs []error
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if value, ok := got[key]; !ok {
				errs = append(errs, fmt.Errorf("%s.%s is missing", path, key))
			} else {
				errs = append(errs, p.same(want[key], value, path+"."+key))
			}
		}
		for key, value := range got {
			if _, ok := want[key]; !ok && key != "raw" {
				errs = append(errs, fmt.Errorf("%s.%s is %v, and not in the story", path, key, value))
			}
		}
		return errors.Join(errs...)
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return fmt.Errorf("%s is %v, and not of %d", path, got, len(want))
		}
		var errs []error
		for i := range want {
			errs = append(errs, p.same(want[i], got[i], path+"."+strconv.Itoa(i)))
		}
		return errors.Join(errs...)
	case string:
		if text, ok := got.(string); ok && (slices.Contains(madeUp, name) || roomID.MatchString(want) && roomID.MatchString(text)) {
			return p.bind(want, text, path)
		} else if ok && instant.MatchString(want) && instant.MatchString(text) {
			if *update {
				p.real[want] = text // so that it may stay as it is
			}
			return nil
		}
	case float64:
		if number, ok := got.(float64); ok && slices.Contains(momentary, name) && number >= 0 {
			return nil
		}
	}
	if want != got {
		return fmt.Errorf("%s is %v, and not %v", path, got, want)
	}
	return nil
}

func (p *play) bind(want, got, path string) error {
	if known, ok := p.real[want]; ok && known != got {
		return fmt.Errorf("%s is %s, but what stands for it was %s before", path, got, known)
	}
	p.real[want] = got
	return nil
}

// parse reads JSON that is known to be good.
func parse(raw []byte) any {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		panic(fmt.Sprintf("%v: %s", err, raw))
	}
	return v
}

func writeStory(t *testing.T, scenes []examples.Scene) {
	for _, scene := range scenes {
		text, err := jsonv2.Marshal(scene.Steps, jsontext.WithIndent("  "), jsontext.EscapeForHTML(false))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("../protocol/examples/story", scene.File), append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
