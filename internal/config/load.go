package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// envPrefix begins the name of every variable that is a setting.
const envPrefix = "PARLEY_"

// envFile is the one variable that is not a setting: it names the file when no argument does.
const envFile = envPrefix + "CONFIG"

// Load reads the configuration and checks it. File is a YAML file, or "" for the one that PARLEY_CONFIG names, if any. Env has the form of
// os.Environ; variables that do not begin with PARLEY_ are not looked at, and a variable with an empty value is as if it were not there.
// Overrides are what the command line gave, by the names of [Flags]; dots and underscores do for dashes.
//
// The error names every fault of the first source that has any.
func Load(file string, env []string, overrides map[string]string) (*Config, error) {
	c := Default()
	vars := variables(env)
	if file == "" {
		file = vars[envFile]
	}
	delete(vars, envFile)
	if file != "" {
		if err := c.applyFile(file); err != nil {
			return nil, err
		}
	}
	if err := c.applyEnv(vars); err != nil {
		return nil, err
	}
	if err := c.applyOverrides(overrides); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// variables picks the variables that are meant for us. Where one stands twice the last counts, as it does for os/exec.
func variables(env []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && !isServiceLink(name, value) {
			vars[name] = value
		}
	}
	for name, value := range vars {
		if value == "" {
			delete(vars, name)
		}
	}
	return vars
}

// isServiceLink tells the variables that Kubernetes puts into every container for a service that is called parley, or parley-something.
func isServiceLink(name, value string) bool {
	switch {
	case strings.HasSuffix(name, "_SERVICE_HOST"), strings.Contains(name, "_SERVICE_PORT"):
		return true
	case strings.HasSuffix(name, "_PORT"):
		return strings.Contains(value, "://")
	}
	return strings.Contains(name, "_PORT_") && (strings.Contains(name, "_TCP") || strings.Contains(name, "_UDP"))
}

func (c *Config) applyEnv(vars map[string]string) error {
	var faults []error
	var known []string
	for _, s := range settings(c) {
		known = append(known, s.env())
		if value, ok := vars[s.env()]; ok {
			if err := s.parse(value); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", s.env(), err))
			}
		}
	}
	for _, name := range sortedKeys(vars) {
		if !slices.Contains(known, name) {
			faults = append(faults, fmt.Errorf("there is no setting for the variable %s%s", name, nearest(name, known)))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) applyOverrides(overrides map[string]string) error {
	given := map[string]string{}
	for name, value := range overrides {
		given[flagName(name)] = value
	}
	var faults []error
	var known []string
	for _, s := range settings(c) {
		known = append(known, s.flag())
		if value, ok := given[s.flag()]; ok {
			if err := s.parse(value); err != nil {
				faults = append(faults, fmt.Errorf("--%s: %w", s.flag(), err))
			}
		}
	}
	for _, name := range sortedKeys(given) {
		if !slices.Contains(known, name) {
			faults = append(faults, fmt.Errorf("there is no setting for the flag --%s%s", name, nearest(name, known)))
		}
	}
	return errors.Join(faults...)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (c *Config) applyFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	return c.applyYAML(name, f)
}

// applyYAML reads one YAML document. The tree is walked by hand, because the decoder's own errors speak of Go types instead of settings.
func (c *Config) applyYAML(name string, r io.Reader) error {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(r)
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one YAML document", name)
	}
	file := yamlFile{name: name, settings: map[string]setting{}}
	for _, s := range settings(c) {
		file.settings[s.key] = s
	}
	file.mapping("", document.Content[0])
	return errors.Join(file.faults...)
}

// yamlFile is a file while it is applied.
type yamlFile struct {
	name     string
	settings map[string]setting
	faults   []error
}

func (f *yamlFile) complain(at *yaml.Node, format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("%s:%d: %s", f.name, at.Line, fmt.Sprintf(format, args...)))
}

// mapping applies the settings of a group; "" is the whole file. A group left empty changes nothing.
func (f *yamlFile) mapping(group string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.complain(n, "%s must be settings, one `name: value` a line", describe(strings.TrimSuffix(group, ".")))
		return
	}
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := group + name.Value
		if line, twice := lines[key]; twice {
			f.complain(name, "%s stands twice, first on line %d", key, line)
			continue
		}
		lines[key] = name.Line
		s, isSetting := f.settings[key]
		switch {
		case isSetting:
			f.set(s, value)
		case f.isGroup(key):
			f.mapping(key+".", value)
		default:
			f.complain(name, "there is no setting %s%s", key, nearest(key, f.names()))
		}
	}
}

func describe(group string) string {
	if group == "" {
		return "the file"
	}
	return group
}

// set applies one setting. One left empty keeps its default.
func (f *yamlFile) set(s setting, n *yaml.Node) {
	text := n.Value
	_, isMap := s.value.Interface().(map[string]string)
	_, isQueues := s.value.Interface().([]FeedQueue)
	switch _, isList := s.value.Interface().([]string); {
	case isNull(n):
		return
	case isQueues && n.Kind != yaml.ScalarNode:
		queues, at, err := readQueues(n)
		if err != nil {
			f.complain(at, "%s: %v", s.key, err)
			return
		}
		s.value.Set(reflect.ValueOf(queues))
		return
	case n.Kind == yaml.MappingNode && isMap:
		f.setNamed(s, n)
		return
	case n.Kind == yaml.SequenceNode && isList:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				f.complain(item, "%s must be a list of texts", s.key)
				return
			}
			items = append(items, item.Value)
		}
		text = strings.Join(items, ",")
	case n.Kind != yaml.ScalarNode:
		f.complain(n, "%s must be one value", s.key)
		return
	}
	if err := s.parse(text); err != nil {
		f.complain(n, "%s: %v", s.key, err)
	}
}

// setNamed applies a setting that has values by name.
func (f *yamlFile) setNamed(s setting, n *yaml.Node) {
	values := make(map[string]string, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if _, twice := values[name.Value]; twice || value.Kind != yaml.ScalarNode {
			f.complain(name, "%s must be `name: text` a line, each name once", s.key)
			return
		}
		values[name.Value] = value.Value
	}
	if len(values) == 0 {
		values = nil
	}
	s.value.Set(reflect.ValueOf(values))
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (f *yamlFile) isGroup(key string) bool {
	return slices.ContainsFunc(f.names(), func(name string) bool { return strings.HasPrefix(name, key+".") })
}

func (f *yamlFile) names() []string {
	names := make([]string, 0, len(f.settings))
	for name := range f.settings {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
