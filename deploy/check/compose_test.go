package check

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

func newReader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

// The compose file is one, and its nodes may do nothing but their work.
func TestCompose(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"compose.yaml", "haproxy.cfg"} {
		text, err := os.ReadFile(filepath.Join("../compose", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "parley.env"), []byte("PARLEY_STORE=postgres://x\n"), 0o600); err != nil { // made as its first lines say
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")}, cli.WithWorkingDirectory(dir))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two", "three"} {
		s, err := project.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if !s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" || len(s.SecurityOpt) != 1 || len(s.Ports) > 0 || s.StopGracePeriod == nil {
			t.Errorf("node %s may too much, or is killed too soon: %+v", name, s)
		}
		if *s.Environment["PARLEY_NODE"] != name || *s.Environment["PARLEY_CLUSTER_ADVERTISE"] != name+":9090" || *s.Environment["PARLEY_STORE"] == "" {
			t.Errorf("node %s is set to %v", name, s.Environment)
		}
	}
	for name, s := range project.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s can be reached from other machines: %+v", name, port)
			}
		}
	}
}

// HAProxy takes its settings.
func TestComposeBalancer(t *testing.T) {
	haproxy, err := exec.LookPath("/usr/sbin/haproxy")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED WITHOUT HAPROXY: install it (Debian: apt-get install haproxy): ", err)
	}
	if out, err := exec.Command(haproxy, "-c", "-f", "../compose/haproxy.cfg").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
