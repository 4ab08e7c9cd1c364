package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/parley-im/parley/internal/testkit"
)

// program is an example of a consumer, as an application has it: with the engine's own client library, of a pinned version.
type program struct {
	engine  func(t *testing.T) string
	prepare func(t *testing.T, dir string) // brings the library
	command func(dir string) *exec.Cmd
	url     string // the variable that says where the engine is
}

const feedExamples = "../docs/examples/feed"

func programs() map[string]program {
	run := func(t *testing.T, name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	return map[string]program{
		"Python on RabbitMQ": {
			engine: func(t *testing.T) string { return testkit.StartRabbitMQ(t).URL },
			prepare: func(t *testing.T, dir string) {
				run(t, "python3", "-m", "venv", dir)
				run(t, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "pika==1.3.2")
			},
			command: func(dir string) *exec.Cmd {
				return exec.Command(filepath.Join(dir, "bin", "python"), filepath.Join(feedExamples, "rabbitmq.py"), "all")
			},
			url: "AMQP_URL",
		},
		"Node on Redis": {
			engine: func(t *testing.T) string { return testkit.StartDurableRedis(t).URL },
			prepare: func(t *testing.T, dir string) {
				text, err := os.ReadFile(filepath.Join(feedExamples, "redis.mjs"))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, "redis.mjs"), text, 0o600) // beside the library
				}
				if err != nil {
					t.Fatal(err)
				}
				run(t, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--silent", "ioredis@5.4.1")
			},
			command: func(dir string) *exec.Cmd { return exec.Command("node", filepath.Join(dir, "redis.mjs"), "all") },
			url:     "REDIS_URL",
		},
		"Go on NATS": {
			engine: func(t *testing.T) string { return testkit.StartJetStream(t).URL },
			prepare: func(t *testing.T, dir string) {
				run(t, "go", "build", "-o", filepath.Join(dir, "consumer"), feedExamples+"/nats")
			},
			command: func(dir string) *exec.Cmd { return exec.Command(filepath.Join(dir, "consumer"), "all") },
			url:     "NATS_URL",
		},
	}
}

// The consumers of the documentation get everything at least once and in order, though they are killed in between, and again what is replayed.
func TestFeedConsumers(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED FOR BEING SHORT: libraries of other languages are fetched")
	}
	for name, p := range programs() {
		t.Run(name, func(t *testing.T) {
			url := p.engine(t)
			dir := t.TempDir()
			p.prepare(t, dir)
			s := start(t, feedFlags(url)...)
			b := s.backend()
			room := b.newRoom("group", "owner", "bob")
			send := func(from, to int) {
				for i := from; i < to; i++ {
					b.user("owner").call("message.send", object{"room": room, "client_id": fmt.Sprint(i), "text": "hello"})
				}
			}
			out := &printout{}
			send(0, 30)
			stop := out.start(t, p.command(dir), p.url+"="+url)
			waitFor(t, "some events", func() bool { return len(out.seqs(room)) >= 5 })
			stop()
			send(30, 40)
			stop = out.start(t, p.command(dir), p.url+"="+url)
			defer stop()
			waitFor(t, "all events", func() bool { return out.whole(t, room) == 41 })
			before := len(out.seqs(room))
			s.feed("replay", "--room", room, "--queue", "all")
			waitFor(t, "all events again", func() bool { return len(out.seqs(room)) >= before+41 })
			out.whole(t, room)
		})
	}
}

// printout is what a consumer has printed: a line ROOM SEQ EVENT for each entry.
type printout struct {
	mu    sync.Mutex
	lines []string
}

// start runs a program until stop kills it.
func (p *printout) start(t *testing.T, cmd *exec.Cmd, env string) (stop func()) {
	t.Helper()
	cmd.Env, cmd.Stderr = append(os.Environ(), env), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			p.mu.Unlock()
		}
		_ = cmd.Wait() // it is killed
	}()
	return sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended already
		<-ended
	})
}

func (p *printout) seqs(room string) (seqs []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == room {
			seq, _ := strconv.Atoi(words[1]) // 0 is no seq
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// whole is up to which seq the room has come, and fails when something was left out before.
func (p *printout) whole(t *testing.T, room string) (last int) {
	t.Helper()
	for _, seq := range p.seqs(room) {
		if seq > last+1 {
			t.Fatalf("%d came after %d", seq, last)
		}
		last = max(last, seq)
	}
	return last
}
