package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	convert "sigs.k8s.io/yaml"
)

const chart = "../helm/parley"

// values are what must be given.
func values(more map[string]any) map[string]any {
	given := map[string]any{"existingSecret": "parley"}
	for name, value := range more {
		given[name] = value
	}
	return given
}

// objects are what the chart makes, by kind and name.
type objects map[string]any

// render has Helm make the chart's objects; each is read strictly, as the type that Kubernetes takes.
func render(t *testing.T, given map[string]any) (objects, error) {
	t.Helper()
	c, err := loader.Load(chart)
	if err != nil {
		t.Fatal(err)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.31.0", Major: "1", Minor: "31"}
	all, err := chartutil.ToRenderValues(c, given, chartutil.ReleaseOptions{Name: "chat", Namespace: "default", IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	made := objects{}
	for name, text := range files {
		if strings.HasSuffix(name, ".txt") || strings.HasSuffix(name, ".tpl") {
			continue
		}
		documents := yaml.NewYAMLReader(newReader(text))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(bytes.TrimSpace(document)) == 0 {
				continue
			}
			made.add(t, name, document)
		}
	}
	return made, nil
}

func (o objects) add(t *testing.T, file string, document []byte) {
	t.Helper()
	var kind struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := convert.Unmarshal(document, &kind); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, document)
	}
	into := map[string]any{
		"apps/v1 Deployment": &apps.Deployment{}, "v1 Service": &core.Service{}, "v1 ConfigMap": &core.ConfigMap{}, "v1 Secret": &core.Secret{},
		"v1 ServiceAccount": &core.ServiceAccount{}, "policy/v1 PodDisruptionBudget": &policy.PodDisruptionBudget{},
		"networking.k8s.io/v1 NetworkPolicy": &networking.NetworkPolicy{}, "networking.k8s.io/v1 Ingress": &networking.Ingress{},
	}[kind.APIVersion+" "+kind.Kind]
	if into == nil {
		t.Fatalf("%s: an object of the kind %s %s, which this test does not know", file, kind.APIVersion, kind.Kind)
	}
	// As the API server reads it: an unknown name is a fault, and so is one whose case is wrong.
	asJSON, err := convert.YAMLToJSONStrict(document)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	faults, err := json.UnmarshalStrict(asJSON, into)
	if err = errors.Join(append(faults, err)...); err != nil {
		t.Errorf("%s: %v\n%s", file, err, document)
	}
	o[kind.Kind+" "+kind.Metadata.Name] = into
}

func TestChartLints(t *testing.T) {
	linted := lint.All(chart, values(nil), "default", true)
	for _, m := range linted.Messages {
		if m.Severity >= support.WarningSev {
			t.Errorf("helm lint: %v", m)
		}
	}
}

// What the chart makes runs as nobody's root on a file system that cannot be written, is drained before it is killed, and is asked where it answers.
func TestChart(t *testing.T) {
	made, err := render(t, values(map[string]any{
		"config": map[string]any{"limits": map[string]any{"burst": 7}}, "drainSeconds": 60,
		"ingress": map[string]any{"enabled": true, "host": "chat.example.com", "tlsSecret": "tls"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"Deployment chat-parley", "Service chat-parley", "Service chat-parley-operators", "ConfigMap chat-parley", "ServiceAccount chat-parley",
		"PodDisruptionBudget chat-parley", "NetworkPolicy chat-parley", "Ingress chat-parley",
	} {
		if made[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	if made["Secret chat-parley"] != nil {
		t.Error("a Secret is made beside the one that exists")
	}
	config := made["ConfigMap chat-parley"].(*core.ConfigMap).Data["parley.yaml"]
	for _, line := range []string{"burst: 7", "drain: 60s", "differences: warn", "secret_file: /run/parley/secret", "listen: 0.0.0.0:9090"} {
		if !strings.Contains(config, line) {
			t.Errorf("the settings do not say %q:\n%s", line, config)
		}
	}
	d := made["Deployment chat-parley"].(*apps.Deployment)
	pod := d.Spec.Template.Spec
	container := pod.Containers[0]
	switch inside, outside := container.SecurityContext, pod.SecurityContext; {
	case !*outside.RunAsNonRoot, *outside.RunAsUser == 0, outside.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault,
		!*inside.ReadOnlyRootFilesystem, *inside.AllowPrivilegeEscalation, fmt.Sprint(inside.Capabilities.Drop) != "[ALL]",
		*pod.AutomountServiceAccountToken, *pod.EnableServiceLinks:
		t.Errorf("it may too much: %+v %+v", inside, outside)
	}
	if pause, grace := container.Lifecycle.PreStop.Sleep.Seconds, *pod.TerminationGracePeriodSeconds; grace < pause+60+20 {
		t.Errorf("it is killed after %d s, of which it has to pause for %d and to drain for 60 and 10 more", grace, pause)
	}
	ports := map[string]int32{}
	for _, p := range container.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for path, probe := range map[string]*core.Probe{"/readyz": container.ReadinessProbe, "/healthz": container.LivenessProbe} {
		if probe.HTTPGet.Path != path || ports[probe.HTTPGet.Port.String()] != 9080 {
			t.Errorf("a probe asks %+v, not %s", probe.HTTPGet, path)
		}
	}
	if got := fmt.Sprint(made["PodDisruptionBudget chat-parley"].(*policy.PodDisruptionBudget).Spec.MaxUnavailable); got != "1" {
		t.Errorf("%s pods may be away", got)
	}
	for _, rule := range made["NetworkPolicy chat-parley"].(*networking.NetworkPolicy).Spec.Ingress {
		if rule.Ports[0].Port.String() == "nodes" && (len(rule.From) != 1 || rule.From[0].PodSelector == nil) {
			t.Errorf("others than nodes reach the nodes' listener: %+v", rule)
		}
	}
}

// Without secrets, or with what the chart sets itself, nothing is made, and the reason is told.
func TestChartRefuses(t *testing.T) {
	for want, given := range map[string]map[string]any{
		"existingSecret": {},
		"secrets.store":  {"secrets": map[string]any{"secret": strings.Repeat("s", 32)}},
		"replica":        values(map[string]any{"replica": 3}),
		"config":         values(map[string]any{"config": map[string]any{"listen": ":1"}}),
		"ingress.host":   values(map[string]any{"ingress": map[string]any{"enabled": true}}),
	} {
		if _, err := render(t, given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, which does not speak of %s", given, err, want)
		}
	}
	secrets := map[string]any{"secret": strings.Repeat("s", 32), "store": "postgres://a", "broker": "nats://b", "state": "redis://c"}
	made, err := render(t, map[string]any{"secrets": secrets})
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := made["Secret chat-parley"].(*core.Secret); !ok || s.StringData["store"] != "postgres://a" {
		t.Errorf("the Secret that is made: %+v", s)
	}
}
