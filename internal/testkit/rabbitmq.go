package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// RabbitMQ is a RabbitMQ server of one test's own, on the loopback interface: its node, its folder and its port mapper are nobody else's. It takes seconds to
// start, so that a package's tests share one. Its methods are for one goroutine.
type RabbitMQ struct {
	URL string // of the user guest, who may do everything

	t        testing.TB
	dir      string
	port     int
	env      []string
	programs string // the folder with rabbitmq-server and rabbitmqctl

	mapper, server process
	log            *tail
}

// process is a child; pid is nil when it does not run.
type process struct {
	pid   *os.Process
	ended <-chan struct{} // closed when it is gone
}

// rabbitPrograms is where Debian and the makers' own packages have the programs as they are: those in PATH change the user, and keep to the machine's own server.
const rabbitPrograms = "/usr/lib/rabbitmq/bin"

// StartRabbitMQ starts a server and stops it at the end of the test. Without RabbitMQ on the machine the test is skipped, or fails where CI is set in the
// environment.
func StartRabbitMQ(t testing.TB) *RabbitMQ {
	t.Helper()
	if _, err := os.Stat(filepath.Join(rabbitPrograms, "rabbitmq-server")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED WITHOUT RABBITMQ: install it (Debian: apt-get install rabbitmq-server): ", err)
	}
	ports := freePorts(t, 3)
	r := &RabbitMQ{t: t, dir: t.TempDir(), port: ports[0], programs: rabbitPrograms, log: &tail{}}
	r.URL = fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", r.port)
	r.configure(ports[1], ports[2])
	t.Cleanup(func() {
		r.Kill()
		r.end(&r.mapper)
	})
	// RabbitMQ would start a mapper itself, which would outlive it and us.
	mapper := exec.Command("epmd", "-d", "-address", "127.0.0.1", "-port", strconv.Itoa(ports[1]))
	r.run(&r.mapper, mapper, "epmd running")
	r.Start()
	return r
}

// configure writes what keeps this server apart from any other on the machine.
func (r *RabbitMQ) configure(mapper, distribution int) {
	r.t.Helper()
	in := func(name string) string { return filepath.Join(r.dir, name) }
	for name, content := range map[string]string{
		"rabbitmq.conf": fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\ndisk_free_limit.absolute = 1MB\n", r.port),
		"plugins":       "[].\n",
		"env.conf":      "",
	} {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.env = append(os.Environ(),
		"HOME="+r.dir, // of the cookie
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT="+strconv.Itoa(mapper),
		"RABBITMQ_NODENAME=parley-"+strconv.Itoa(r.port)+"@localhost", "RABBITMQ_DIST_PORT="+strconv.Itoa(distribution),
		"RABBITMQ_CONF_ENV_FILE="+in("env.conf"), "RABBITMQ_CONFIG_FILE="+in("rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE="+in("plugins"),
		"RABBITMQ_MNESIA_BASE="+in("data"), "RABBITMQ_LOG_BASE="+in("log"), "RABBITMQ_LOGS=-",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_ALLOW_INPUT=1", // the script becomes the server, instead of its parent: there is one process to kill
	)
}

// Start starts a server that was killed, at the same address, and returns when it takes connections. What is durable is still there.
func (r *RabbitMQ) Start() {
	r.t.Helper()
	r.run(&r.server, exec.Command(filepath.Join(r.programs, "rabbitmq-server"), "-noinput"), "Server startup complete")
}

// WriteDown has on the disk what RabbitMQ notes about quorum queues that were just made, which it otherwise has within three minutes: a queue of which a crash
// takes that note is not found again.
func (r *RabbitMQ) WriteDown(t testing.TB) {
	t.Helper()
	r.Control(t, "eval", "[dets:sync(T) || T <- dets:all()].")
}

// Kill ends the server as a crash does, and returns when it is gone. One that does not run is left alone.
func (r *RabbitMQ) Kill() {
	r.t.Helper()
	r.end(&r.server)
}

// Control runs rabbitmqctl and returns what it prints.
func (r *RabbitMQ) Control(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(r.programs, "rabbitmqctl"), args...)
	cmd.Env, cmd.Dir = r.env, r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (r *RabbitMQ) run(p *process, cmd *exec.Cmd, readyLine string) {
	r.t.Helper()
	cmd.Env, cmd.Dir = r.env, r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if p.ended, err = launch(cmd, output, r.log, readyLine); err != nil {
		r.t.Fatalf("%s: %v\n%s", cmd.Path, err, r.log)
	}
	p.pid = cmd.Process
}

func (r *RabbitMQ) end(p *process) {
	r.t.Helper()
	if p.pid == nil {
		return
	}
	if err := p.pid.Kill(); err != nil {
		r.t.Errorf("kill process %d: %v", p.pid.Pid, err)
	}
	<-p.ended
	p.pid = nil
}
