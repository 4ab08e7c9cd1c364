package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// loopback is an address of this machine alone at which nobody listened a moment ago.
func loopback() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// loopbacks are different ones.
func loopbacks(n int) ([]string, error) {
	var all []string
	for len(all) < n {
		addr, err := loopback()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, addr) {
			all = append(all, addr)
		}
	}
	return all, nil
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // of our own making
	return port
}

// find finds a program, which may be in a folder for administrators.
func find(name, packages string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s on this machine: install it (Debian: apt-get install %s)", name, packages)
}

// postgres is a PostgreSQL server in a folder, which is made if it is not there. It is reached over a socket that only its user and root can use.
func postgres(name, dir, sockets string) (*child, string, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, "", err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, "", err
	}
	data := filepath.Join(dir, "data")
	for _, folder := range []string{dir, sockets} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, "", err
		}
		if as != nil {
			if err := os.Chown(folder, int(as.Uid), int(as.Gid)); err != nil {
				return nil, "", err
			}
		}
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "parley", "--auth", "trust", "--encoding", "UTF8", "--locale", "C")
		initdb.Dir, initdb.SysProcAttr = sockets, &syscall.SysProcAttr{Credential: as}
		if out, err := initdb.CombinedOutput(); err != nil {
			return nil, "", fmt.Errorf("initdb: %w\n%s", err, out)
		}
	}
	at := url.URL{Scheme: "postgres", User: url.User("parley"), Path: "/postgres", RawQuery: url.Values{"host": {sockets}}.Encode()}
	return &child{
		name: name, where: sockets, ready: "ready to accept connections", stop: syscall.SIGINT, as: as, dir: sockets,
		argv: []string{filepath.Join(bin, "postgres"), "-D", data, "-k", sockets, "-c", "listen_addresses=", "-c", "max_connections=100"},
	}, at.String(), nil
}

// postgresBin is the folder with the newest server that is installed.
func postgresBin() (string, error) {
	servers, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	slices.SortFunc(servers, func(a, b string) int { return versionIn(b) - versionIn(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		servers = append(servers, path)
	}
	for _, path := range servers {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(real), nil
		}
	}
	return "", errors.New("there is no PostgreSQL server on this machine: install it (Debian: apt-get install postgresql)")
}

// versionIn is the number in /usr/lib/postgresql/NUMBER/bin/postgres.
func versionIn(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for what is no number
	return n
}

// unprivileged is whom PostgreSQL runs as, which refuses to be root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}

// redis is a Redis server that keeps nothing on the disk: what is in it may be lost.
func redis() (*child, string, error) {
	program, err := find("redis-server", "redis-server")
	if err != nil {
		return nil, "", err
	}
	addr, err := loopback()
	if err != nil {
		return nil, "", err
	}
	return &child{
		name: "redis", where: addr, ready: "eady to accept connections", stop: syscall.SIGTERM,
		argv: []string{program, "--bind", "127.0.0.1", "--port", port(addr), "--save", "", "--appendonly", "no"},
	}, "redis://" + addr, nil
}

// brokers makes the children that are the broker, and says where it is. What is in a folder that it needs is of one run.
func brokers(kind, dir, redisURL string) ([]*child, string, error) {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, "", err
	}
	switch kind {
	case "nats":
		return nats()
	case "redis":
		return nil, redisURL + "/1", nil
	case "kafka":
		return kafka(dir)
	case "rabbitmq":
		return rabbitmq(dir)
	}
	return nil, "", fmt.Errorf("BROKER is nats, redis, kafka or rabbitmq, not %q", kind)
}

// nats is this program once more, as a NATS server.
func nats() ([]*child, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	addr, err := loopback()
	if err != nil {
		return nil, "", err
	}
	return []*child{{name: "nats", where: addr, ready: natsReady, stop: syscall.SIGTERM, argv: []string{self, "nats", addr}}}, "nats://" + addr, nil
}

const natsReady = "ready for connections"

// serveNATS is a NATS server at an address, until the process is told to end.
func serveNATS(addr string, end <-chan os.Signal) error {
	number, err := strconv.Atoi(port(addr))
	if err != nil {
		return err
	}
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: number, NoSigs: true})
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("NATS does not start")
	}
	fmt.Println(natsReady)
	<-end
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// kafka is one server of Apache Kafka, broker and controller at once.
func kafka(dir string) ([]*child, string, error) {
	bring := exec.Command("scripts/kafka.sh")
	bring.Stderr = os.Stderr
	if err := bring.Run(); err != nil { // which has said what is missing
		return nil, "", fmt.Errorf("what Kafka needs is not there: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, "", err
	}
	jars, _ := filepath.Glob(filepath.Join(cache, "parley", "kafka-*")) // the pattern is well formed
	addrs, errAddrs := loopbacks(2)
	if errAddrs != nil || len(jars) == 0 {
		return nil, "", errors.Join(errAddrs, errors.New("scripts/kafka.sh has brought no jars"))
	}
	settings, data := filepath.Join(dir, "server.properties"), filepath.Join(dir, "data")
	text := strings.Join([]string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + addrs[1], "controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + addrs[0] + ",CONTROLLER://" + addrs[1], "log.dirs=" + data, "auto.create.topics.enable=false",
	}, "\n")
	if err := errors.Join(
		os.Mkdir(data, 0o700),
		os.WriteFile(filepath.Join(data, "meta.properties"), []byte("version=1\nnode.id=1\ncluster.id=cGFybGV5LWRlbW8tMDAwMQ\n"), 0o600),
		os.WriteFile(settings, []byte(text), 0o600),
	); err != nil {
		return nil, "", err
	}
	return []*child{{
		name: "kafka", where: addrs[0], ready: "Kafka Server started", stop: syscall.SIGTERM, dir: dir,
		argv: []string{
			"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
			"-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info", "-cp", filepath.Join(slices.Max(jars), "*"), "kafka.Kafka", settings,
		},
	}}, "kafka://" + addrs[0], nil
}

// rabbitPrograms is where Debian and the makers' own packages have the programs as they are: those in PATH change the user.
const rabbitPrograms = "/usr/lib/rabbitmq/bin"

// rabbitmq is a RabbitMQ server, and the port mapper that it would otherwise start itself and leave behind.
func rabbitmq(dir string) ([]*child, string, error) {
	if _, err := os.Stat(rabbitPrograms + "/rabbitmq-server"); err != nil {
		return nil, "", errors.New("there is no RabbitMQ on this machine: install it (Debian: apt-get install rabbitmq-server)")
	}
	addrs, err := loopbacks(3)
	if err != nil {
		return nil, "", err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string]string{
		"rabbitmq.conf": "listeners.tcp.1 = " + addrs[0] + "\ndisk_free_limit.absolute = 1MB\n", "plugins": "[].\n", "env.conf": "",
	} {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			return nil, "", err
		}
	}
	env := []string{
		"HOME=" + dir, "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + port(addrs[1]),
		"RABBITMQ_NODENAME=parley-" + port(addrs[0]) + "@localhost", "RABBITMQ_DIST_PORT=" + port(addrs[2]),
		"RABBITMQ_CONF_ENV_FILE=" + in("env.conf"), "RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + in("plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("data"), "RABBITMQ_LOG_BASE=" + in("log"), "RABBITMQ_LOGS=-",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_ALLOW_INPUT=1", // the script becomes the server, instead of its parent: there is one process to end
	}
	return []*child{
		{name: "epmd", where: addrs[1], ready: "epmd running", stop: syscall.SIGTERM, dir: dir, env: env, argv: []string{"epmd", "-d", "-address", "127.0.0.1", "-port", port(addrs[1])}},
		{
			name: "rabbitmq", where: addrs[0], ready: "Server startup complete", stop: syscall.SIGTERM, dir: dir, env: env,
			argv: []string{rabbitPrograms + "/rabbitmq-server", "-noinput"},
		},
	}, "amqp://guest:guest@" + addrs[0] + "/", nil
}
