package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Flag describes a setting to the command line.
type Flag struct {
	Key     string // limits.burst, in the file
	Name    string // limits-burst
	Env     string // PARLEY_LIMITS_BURST
	Help    string
	Default string // as it would be written on the command line; "" when there is none
	Switch  bool   // it may be given without a value, which then is "true"
}

// Flags lists every setting, in the order of [Config].
func Flags() []Flag {
	var flags []Flag
	for _, s := range settings(Default()) {
		_, isSwitch := s.value.Interface().(bool)
		flags = append(flags, Flag{Key: s.key, Name: s.flag(), Env: s.env(), Help: s.help, Default: s.text(), Switch: isSwitch})
	}
	return flags
}

// setting is one leaf of a Config.
type setting struct {
	key    string // limits.burst
	help   string
	common bool          // it must be the same on all nodes
	value  reflect.Value // settable
}

func (s setting) flag() string { return flagName(s.key) }

func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// flagName is the name of a setting as a flag, from any way to write it.
func flagName(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }

// settings lists the leaves of c, which they change.
func settings(c *Config) []setting {
	return appendSettings(nil, "", reflect.ValueOf(c).Elem())
}

func appendSettings(list []setting, group string, v reflect.Value) []setting {
	for field, value := range v.Fields() {
		key := group + field.Tag.Get("yaml")
		if value.Kind() == reflect.Struct {
			list = appendSettings(list, key+".", value)
			continue
		}
		list = append(list, setting{key: key, help: field.Tag.Get("help"), common: field.Tag.Get("nodes") == "same", value: value})
	}
	return list
}

// text is the value as it would be written in the environment or on the command line.
func (s setting) text() string {
	switch v := s.value.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case []FeedQueue:
		if len(v) == 0 {
			return ""
		}
		text, err := s.yaml()
		if err != nil {
			return err.Error()
		}
		return text
	case map[string]string:
		items := make([]string, 0, len(v))
		for _, name := range sortedKeys(v) {
			items = append(items, name+"="+v[name])
		}
		return strings.Join(items, ",")
	default:
		return fmt.Sprint(v)
	}
}

// parse sets the value from its text. Lists are separated by commas.
func (s setting) parse(text string) error {
	switch target := s.value.Addr().Interface().(type) {
	case *string:
		*target = text
	case *[]string:
		*target = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*target = append(*target, item)
			}
		}
	case *map[string]string:
		return parseNamed(target, text)
	case *[]FeedQueue:
		return parseQueues(target, text)
	case *bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		*target = v
	case *int:
		v, err := strconv.Atoi(text)
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%s is beyond %d", text, math.MaxInt)
		}
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		*target = v
	case *float64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		*target = v
	case *time.Duration:
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration, such as 10s or 1m30s", text)
		}
		*target = v
	default:
		panic("config: no way to read a " + s.value.Type().String())
	}
	return nil
}

// nearest is the name that was perhaps meant, as a piece of a sentence, or "".
func nearest(name string, names []string) string {
	best, least := "", len(name)/3+1
	for _, candidate := range names {
		if d := distance(name, candidate); d <= least {
			best, least = candidate, d-1
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is how many letters must be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// parseQueues reads the queues of the feed as the file has them.
func parseQueues(target *[]FeedQueue, text string) error {
	if *target = nil; strings.TrimSpace(text) == "" {
		return nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil || len(document.Content) != 1 {
		return errors.New("must be a list of queues, as in the file: [{name: all, exchange: fanout}]")
	}
	queues, _, err := readQueues(document.Content[0])
	if err == nil {
		*target = queues
	}
	return err
}

// readQueues reads a list of queues. The error is about a node.
func readQueues(list *yaml.Node) (queues []FeedQueue, at *yaml.Node, err error) {
	if list.Kind != yaml.SequenceNode {
		return nil, list, errors.New("must be a list of queues: [{name: all, exchange: fanout}]")
	}
	for _, n := range list.Content {
		if n.Kind != yaml.MappingNode {
			return nil, n, errors.New("each queue must have a name and an exchange: {name: all, exchange: fanout}")
		}
		var q FeedQueue
		seen := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			if seen[name.Value] {
				return nil, name, fmt.Errorf("%s stands twice in a queue", name.Value)
			}
			seen[name.Value] = true
			if at, err := q.set(name, value); err != nil {
				return nil, at, err
			}
		}
		queues = append(queues, q)
	}
	return queues, nil, nil
}

// set takes one property of a queue.
func (q *FeedQueue) set(name, value *yaml.Node) (at *yaml.Node, err error) {
	texts := map[string]*string{"name": &q.Name, "exchange": &q.Exchange, "match": &q.Match}
	switch target := texts[name.Value]; {
	case target != nil && value.Kind == yaml.ScalarNode && !isNull(value):
		*target = value.Value
	case target != nil:
		return value, fmt.Errorf("%s of a queue must be a text", name.Value)
	case name.Value == "bind":
		list := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			list = value.Content
		}
		for _, item := range list {
			if item.Kind != yaml.ScalarNode || isNull(item) {
				return item, errors.New("bind of a queue must be a list of texts")
			}
			q.Bind = append(q.Bind, item.Value)
		}
	case name.Value == "headers":
		if value.Kind != yaml.MappingNode {
			return value, errors.New("headers of a queue must be names with their values: {kind: live}")
		}
		q.Headers = map[string]string{}
		for i := 0; i < len(value.Content); i += 2 {
			header, content := value.Content[i], value.Content[i+1]
			if _, twice := q.Headers[header.Value]; twice || content.Kind != yaml.ScalarNode || isNull(content) {
				return header, errors.New("headers of a queue must be names with their values, each name once: {kind: live}")
			}
			q.Headers[header.Value] = content.Value
		}
	default:
		return name, fmt.Errorf("a queue has no %s%s", name.Value, nearest(name.Value, []string{"name", "exchange", "bind", "headers", "match"}))
	}
	return nil, nil
}

// nameEnds is where the name of an item ends. What follows a comma without one goes on with the value: a URL may name several hosts.
var nameEnds = regexp.MustCompile(`^([A-Za-z0-9_-]+)=`)

// parseNamed reads NAME=VALUE, separated by commas.
func parseNamed(target *map[string]string, text string) error {
	var values map[string]string // nil for none
	last := ""
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		found := nameEnds.FindStringSubmatch(item)
		switch {
		case found == nil && last == "":
			return errors.New("must be NAME=VALUE, separated by commas")
		case found == nil:
			values[last] += "," + item
			continue
		}
		last = found[1]
		if values == nil {
			values = map[string]string{}
		}
		if _, twice := values[last]; twice {
			return fmt.Errorf("%s stands twice", last)
		}
		values[last] = item[len(found[0]):]
	}
	*target = values
	return nil
}
