package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Kafka is an Apache Kafka of one test's own: one server, broker and controller at once, on the loopback interface. Its methods are for one goroutine.
type Kafka struct {
	URL string // kafka://HOST:PORT

	t          testing.TB
	jars       string
	dir        string
	port       int
	controller int // the port of the controller
	starts     int

	server *os.Process     // nil: it does not run
	ended  <-chan struct{} // closed when the process is gone
	log    *tail
}

// StartKafka starts a server and stops it at the end of the test. Without Java or the jars of Kafka the test is skipped, or fails where CI is set in the
// environment.
func StartKafka(t testing.TB) *Kafka {
	t.Helper()
	jars, err := kafkaJars()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED WITHOUT A REAL KAFKA: ", err)
	}
	k := &Kafka{t: t, jars: jars, dir: t.TempDir()}
	ports := freePorts(t, 2)
	k.port, k.controller = ports[0], ports[1]
	k.URL = fmt.Sprintf("kafka://127.0.0.1:%d", k.port)
	t.Cleanup(k.Kill)
	k.Start()
	return k
}

// kafkaJars is the folder that scripts/kafka.sh has made, of the newest version.
func kafkaJars() (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("no Java: install it (Debian: apt-get install openjdk-17-jre-headless): %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	made, _ := filepath.Glob(filepath.Join(cache, "parley", "kafka-*")) // the pattern is well formed
	if len(made) == 0 {
		return "", errors.New("no jars: run scripts/kafka.sh, which brings them with Maven")
	}
	return slices.Max(made), nil
}

// Start starts a server that was killed, at the same address and with nothing in it, and returns when it takes connections.
func (k *Kafka) Start() {
	k.t.Helper()
	k.starts++
	data := filepath.Join(k.dir, "data"+strconv.Itoa(k.starts))
	if err := errors.Join(
		os.Mkdir(data, 0o700),
		os.WriteFile(filepath.Join(data, "meta.properties"), []byte("version=1\nnode.id=1\ncluster.id=cGFybGV5LXRlc3QtMDAwMQ\n"), 0o600),
		os.WriteFile(filepath.Join(k.dir, "server.properties"), []byte(k.settings(data)), 0o600),
	); err != nil {
		k.t.Fatal(err)
	}
	k.Resume()
}

// Resume is as Start, with what the server had when it was killed.
func (k *Kafka) Resume() {
	k.t.Helper()
	cmd := exec.Command("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // a test's server lives too short for more
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
		"-cp", filepath.Join(k.jars, "*"), "kafka.Kafka", filepath.Join(k.dir, "server.properties"))
	cmd.Dir = k.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	k.log = &tail{}
	if k.ended, err = launch(cmd, stderr, k.log, "Kafka Server started"); err != nil {
		k.t.Fatalf("%v\n%s", err, k.log)
	}
	k.server = cmd.Process
}

func (k *Kafka) settings(data string) string {
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", k.controller),
		"controller.listener.names=CONTROLLER",
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", k.port, k.controller),
		"log.dirs=" + data,
		"auto.create.topics.enable=false",
		"num.network.threads=1",
		"num.io.threads=2",
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
	}, "\n")
}

// Kill ends the server as a crash does, and returns when it is gone. One that does not run is left alone.
func (k *Kafka) Kill() {
	k.t.Helper()
	if k.server == nil {
		return
	}
	if err := k.server.Kill(); err != nil {
		k.t.Errorf("kill the server: %v", err)
	}
	<-k.ended
	k.server = nil
}
