package app

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"
)

// promql knows the metrics of a running server, and what may stand in an expression about them.
type promql struct {
	labels map[string][]string // by metric
}

// functions are what our expressions use, and keywords stand between metrics; grouping words are followed by labels.
const (
	functions = " rate increase changes sum max min histogram_quantile clamp_min label_values "
	keywords  = " and or unless bool "
	grouping  = " by without on ignoring "
	anywhere  = " job instance " // labels that Prometheus adds
)

func is(list, word string) bool { return strings.Contains(list, " "+word+" ") }

// knownMetrics asks a server.
func knownMetrics(t *testing.T) *promql {
	t.Helper()
	m := newApp(t).metrics
	p := &promql{labels: map[string][]string{"up": nil}}
	add := func(name, kind string, labels []string) {
		if kind == "histogram" {
			p.labels[name+"_bucket"] = append(slices.Clone(labels), "le")
			p.labels[name+"_count"], p.labels[name+"_sum"] = labels, labels
			return
		}
		p.labels[name] = labels
	}
	for _, l := range m.listed {
		add(l.name, l.kind, l.labels)
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), namespace+"_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		if kind := strings.ToLower(f.GetType().String()); kind == "summary" {
			add(f.GetName(), kind, append(labels, "quantile"))
		} else {
			add(f.GetName(), kind, labels)
		}
	}
	return p
}

var tokens = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|[0-9.]+|[a-zA-Z_:][a-zA-Z0-9_:]*|[<>=!~]+|\S`)

// faults are the words of an expression that stand for nothing, and what is not closed. A counter must be asked for its rate.
func (p *promql) faults(expr string) []string {
	var found []string
	var metrics []string
	words := tokens.FindAllString(expr, -1)
	at := func(i int) string {
		if i < 0 || i >= len(words) {
			return ""
		}
		return words[i]
	}
	// list takes the words up to a closing one, those behind a comma or the opening one being labels of the metrics.
	list := func(i int, closing string, of []string) int {
		for ; i < len(words) && words[i] != closing; i++ {
			if at(i-1) != "," && at(i-1) != "(" && at(i-1) != "{" {
				continue
			}
			known := is(anywhere, words[i])
			for _, metric := range of {
				known = known || slices.Contains(p.labels[metric], words[i])
			}
			if !known {
				found = append(found, "no label "+words[i])
			}
		}
		return i
	}
	var groups [][2]int
	for i := 0; i < len(words); i++ {
		word := words[i]
		letter := regexp.MustCompile(`^[a-zA-Z_]`).MatchString(word)
		switch {
		case is(grouping, word) && at(i+1) == "(":
			groups = append(groups, [2]int{i + 2, len(metrics)})
			i = slices.Index(words[i:], ")") + i
		case !letter || is(keywords, word):
		case at(i+1) == "(" || is(" sum max min ", word):
			if !is(functions, word) {
				found = append(found, "no function "+word)
			}
		default:
			if _, known := p.labels[word]; !known {
				found = append(found, "no metric "+word)
			}
			if counts := strings.HasSuffix(word, "_total") || strings.HasSuffix(word, "_bucket"); counts && (at(i-1) != "(" || !is(" rate increase ", at(i-2))) {
				found = append(found, word+" without its rate")
			}
			metrics = append(metrics, word)
			if at(i+1) == "{" {
				i = list(i+2, "}", []string{word})
			}
		}
	}
	for _, g := range groups {
		list(g[0], ")", metrics[g[1]:])
	}
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			found = append(found, "unbalanced "+pair)
		}
	}
	return found
}

func TestFaults(t *testing.T) {
	p := &promql{labels: map[string][]string{"a_total": {"code"}, "b_bucket": {"le"}, "c": nil}}
	for expr, want := range map[string]string{
		`sum by (code) (rate(a_total{job="x", code!="ok"}[5m])) / 2 > 0.5`:    "",
		`histogram_quantile(0.9, sum by (le, instance) (rate(b_bucket[5m])))`: "",
		`c == 0 or c{instance=~"x"} >= 1`:                                     "",
		`rate(d_total[5m])`:                                                   "no metric d_total",
		`a_total > 1`:                                                         "a_total without its rate",
		`rate(a_total{kode="ok"}[5m])`:                                        "no label kode",
		`sum by (kode) (rate(a_total[5m]))`:                                   "no label kode",
		`summ(c)`:                                                             "no function summ",
		`max(c`:                                                               "unbalanced ()",
	} {
		if got := strings.Join(p.faults(expr), ", "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// Every alert asks about metrics and labels that there are, and says what to do.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	known, seen := knownMetrics(t), map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			for _, fault := range known.faults(r.Expr) {
				t.Errorf("%s: %s: %s", r.Alert, fault, r.Expr)
			}
			if seen[r.Alert] || r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 40 || !is(" page ticket ", r.Labels["severity"]) {
				t.Errorf("%s stands twice, or does not say what is wrong, what to do and how soon", r.Alert)
			}
			seen[r.Alert] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("there are %d alerts", len(seen))
	}
}

// Every panel asks about metrics and labels that there are.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/parley.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Type  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	known, panels := knownMetrics(t), 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			panels++
			for _, fault := range known.faults(target.Expr) {
				t.Errorf("%s: %s: %s", p.Title, fault, target.Expr)
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks nothing", p.Title)
		}
	}
	for _, v := range dashboard.Templating.List {
		if q, ok := v.Query.(map[string]any); ok && len(known.faults(strings.ReplaceAll(strings.ReplaceAll(q["query"].(string), ", job)", ")"), ", instance)", ")"))) > 0 {
			t.Errorf("the variable asks %v", v.Query)
		}
	}
	if panels < 30 {
		t.Errorf("there are %d questions", panels)
	}
}
