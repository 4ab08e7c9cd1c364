package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What `config print` prints is a file that serve takes, and check finds good.
func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(file, []byte(command(t, "config", "print")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "config", "check", file)
	start(t, "--config", file)
	if err := os.WriteFile(file, []byte("limits:\n  brust: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(binaries, "parley"), "config", "check", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "burst") {
		t.Errorf("a misspelt setting: %v\n%s", err, out)
	}
}

// The doctor looks beside a server that runs, and disturbs nothing.
func TestDoctor(t *testing.T) {
	s := start(t)
	alice := s.connect("alice", nil)
	room := alice.call("room.create", object{"kind": "group"})["room"].(object)["id"].(string)
	out := command(t, "doctor", "--data", s.dir, "--listen", s.addr)
	for _, words := range []string{s.addr + " is in use", "last event"} {
		if !strings.Contains(out, words) {
			t.Errorf("the doctor does not say %q:\n%s", words, out)
		}
	}
	alice.send(room, "1", "still here")
}

// A shell that has read the script completes what the program knows.
func TestCompletion(t *testing.T) {
	cmd := exec.Command("bash", "-c", `source <(parley completion bash)
		COMP_WORDS=(parley token --role mo) COMP_CWORD=3; _parley; echo "${COMPREPLY[@]}"`)
	cmd.Env = append(environment(), "PATH="+binaries+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "moderator" {
		t.Errorf("token --role mo is completed to %q, %v; want moderator", out, err)
	}
}
