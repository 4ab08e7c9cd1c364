package config

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WriteYAML writes every setting as a file that [Load] reads, each after a comment that says what it is for. Secrets are in it as they are: see
// [Config.Redacted].
func (c *Config) WriteYAML(w io.Writer) error {
	var b strings.Builder
	var within []string // the groups that are open
	for _, s := range settings(c) {
		path := strings.Split(s.key, ".")
		groups := path[:len(path)-1]
		same := 0
		for same < min(len(within), len(groups)) && within[same] == groups[same] {
			same++
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		for depth, group := range groups[same:] {
			fmt.Fprintf(&b, "%s%s:\n", indent(same+depth), group)
		}
		within = groups
		for _, line := range wrap(s.help, 100-len(indent(len(groups)))) {
			fmt.Fprintf(&b, "%s# %s\n", indent(len(groups)), line)
		}
		value, err := s.yaml()
		if err != nil {
			return fmt.Errorf("%s: %w", s.key, err)
		}
		fmt.Fprintf(&b, "%s%s: %s\n", indent(len(groups)), path[len(path)-1], value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// yaml is the value on one line.
func (s setting) yaml() (string, error) {
	var node yaml.Node
	if err := node.Encode(s.value.Interface()); err != nil {
		return "", err
	}
	node.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&node)
	return strings.TrimSpace(string(text)), err
}

// wrap breaks a text into lines of at most width characters, unless a word alone is longer.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Explain finds a setting by its name in the file, the environment or on the command line. The error says which name was perhaps meant.
func Explain(name string) (Flag, error) {
	key := strings.TrimPrefix(strings.ToLower(name), "--")
	key = flagName(strings.TrimPrefix(key, strings.ToLower(envPrefix)))
	var known []string
	for _, f := range Flags() {
		if f.Name == key {
			return f, nil
		}
		known = append(known, f.Key)
	}
	return Flag{}, fmt.Errorf("there is no setting %s%s", name, nearest(strings.ToLower(name), known))
}
