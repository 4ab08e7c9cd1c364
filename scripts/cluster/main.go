// Command cluster runs a whole cluster of Parley on this machine, to try it out: three nodes, two PostgreSQL, Redis, a broker, and HAProxy in front. Everything listens
// on the loopback interface, is a child of this process, and ends with it. `make cluster` runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var err error
	if len(os.Args) == 3 && os.Args[1] == "nats" {
		err = serveNATS(os.Args[2], end)
	} else {
		o := options{}
		flag.StringVar(&o.dir, "data", ".parley-cluster", "folder for all data")
		flag.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address that browsers open; another port is taken when it is in use")
		flag.StringVar(&o.broker, "broker", "nats", "nats, redis, kafka or rabbitmq")
		flag.StringVar(&o.parley, "parley", "bin/parley", "the binary of the nodes")
		flag.Parse()
		err = run(o, end)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster: "+err.Error())
		os.Exit(1)
	}
}

type options struct{ dir, listen, broker, parley string }

// run runs the cluster until it is told to end.
func run(o options, end <-chan os.Signal) (err error) {
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if o.parley, err = filepath.Abs(o.parley); err != nil {
		return err
	}
	logs := filepath.Join(o.dir, "log")
	if err := os.MkdirAll(logs, 0o755); err != nil { // PostgreSQL's user has to get through
		return err
	}
	unlock, err := lock(o.dir)
	if err != nil {
		return err
	}
	defer unlock()
	sockets, err := os.MkdirTemp("", "parley-cluster-") // the path of a socket must be short
	if err != nil {
		return err
	}
	defer os.RemoveAll(sockets)
	if err := os.Chmod(sockets, 0o711); err != nil { // PostgreSQL's user has to get to its folder
		return err
	}
	children, url, err := plan(o, sockets)
	if err != nil {
		return err
	}
	var telling sync.Mutex
	tell := func(format string, args ...any) {
		telling.Lock()
		defer telling.Unlock()
		fmt.Printf("  "+format+"\n", args...)
	}
	var running []*child
	defer func() { // clients first: each finds what it needs until its own end
		for len(running) > 0 {
			last := running[len(running)-1]
			running = running[:len(running)-1]
			last.finish()
		}
		fmt.Println("  everything has ended; the data is in " + o.dir)
	}()
	for _, c := range children {
		fmt.Printf("  starting %s\n", c.name)
		running = append(running, c)
		if err := c.begin(logs, tell, end); errors.Is(err, errEnd) {
			return nil
		} else if err != nil {
			return err
		}
	}
	describe(o, url, children)
	<-end
	fmt.Println()
	return nil
}

// lock keeps a second cluster off the same data.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("a cluster runs on %s already: end it first", dir), f.Close())
	}
	return func() { f.Close() }, nil
}

// nodes are the names of the nodes.
var nodes = [...]string{"one", "two", "three"}

// plan says what is started, in this order, and where it is opened.
func plan(o options, sockets string) ([]*child, string, error) {
	home, store, err := postgres("postgres", filepath.Join(o.dir, "postgres"), filepath.Join(sockets, "postgres"))
	if err != nil {
		return nil, "", err
	}
	second, secondURL, err := postgres("postgres-second", filepath.Join(o.dir, "postgres-second"), filepath.Join(sockets, "second"))
	if err != nil {
		return nil, "", err
	}
	state, stateURL, err := redis()
	if err != nil {
		return nil, "", err
	}
	broker, brokerURL, err := brokers(o.broker, filepath.Join(o.dir, "broker"), stateURL)
	if err != nil {
		return nil, "", err
	}
	settings := filepath.Join(o.dir, "parley.yaml")
	text := fmt.Sprintf("# What the nodes of `make cluster` have in common. It is written anew at every start.\ndev: true\ndrain: 2s\ndata: %q\nstore: %q\nshards: {second: %q}\nstate: %q\nbroker: %q\n",
		filepath.Join(o.dir, "parley"), store, secondURL, stateURL+"/0", brokerURL)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	addrs, err := loopbacks(3 * len(nodes))
	if err != nil {
		return nil, "", err
	}
	children := append([]*child{home, second, state}, broker...)
	var servers strings.Builder
	for i, name := range nodes {
		clients, operators, inner := addrs[3*i], addrs[3*i+1], addrs[3*i+2]
		fmt.Fprintf(&servers, "    server %s %s check port %s\n", name, clients, port(operators))
		children = append(children, &child{
			name: "node-" + name, where: "http://" + clients + "   operators: http://" + operators, ready: "msg=listening", stop: syscall.SIGTERM,
			argv: []string{
				o.parley, "serve", "--config", settings, "--node", name, "--listen", clients, "--admin-listen", operators, "--cluster-listen", inner,
			},
		})
	}
	children[len(children)-len(nodes)].first = func() error { return addShard(o, store, secondURL) }
	if l, err := net.Listen("tcp", o.listen); err != nil {
		if o.listen, err = loopback(); err != nil {
			return nil, "", err
		}
	} else {
		o.listen = l.Addr().String() // of port 0 the one that is free
		l.Close()
	}
	front, err := haproxy(o, servers.String())
	return append(children, front), "http://" + o.listen, err
}

// addShard makes the second PostgreSQL one of two over which rooms and users are spread, once for all.
func addShard(o options, store, url string) error {
	done := filepath.Join(o.dir, "second-is-a-shard")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	for _, args := range [][]string{
		{"key", "list", "--store", store, "--data", filepath.Join(o.dir, "parley")}, // which makes the store, where it is new
		{"shards", "add", "second", url, "--store", store},
	} {
		if out, err := exec.Command(o.parley, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("parley %s: %w\n%s", args[0], err, out)
		}
	}
	return os.WriteFile(done, nil, 0o600)
}

// haproxy sends every connection and call to any node that is ready: what is about a session of another one the nodes pass on themselves.
func haproxy(o options, servers string) (*child, error) {
	program, err := find("haproxy", "haproxy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(o.dir, "haproxy.cfg")
	text := `# HAProxy as ` + "`make cluster`" + ` runs it; deploy/haproxy has what to run on the internet. It is written anew at every start.
global
    log stdout format raw local0
defaults
    mode http
    log global
    log-format "%ci:%cp [%tr] %s %Ta %ST %HM %HPO"
    option http-no-delay
    option redispatch 1
    retries 3
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout tunnel 75s
frontend clients
    bind ` + o.listen + `
    default_backend nodes
backend nodes
    balance leastconn
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    retry-on conn-failure 503
    http-request disable-l7-retry if METH_POST
    default-server inter 1s fastinter 250ms fall 2 rise 2
` + servers
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return &child{
		name: "haproxy", where: "http://" + o.listen, ready: "Loading success", stop: syscall.SIGTERM, argv: []string{program, "-W", "-f", file},
	}, nil
}

// describe says what runs, and what to do with it.
func describe(o options, url string, children []*child) {
	var node *child
	fmt.Printf("\n  Open %s in two browser tabs, pick a name in each, and talk. Three nodes serve you; you cannot tell which.\n\n", url)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  what\tpid\twhere")
	for _, c := range children {
		fmt.Fprintf(table, "  %s\t%d\t%s\n", c.name, c.pid.Load(), c.where)
		if node == nil && strings.HasPrefix(c.name, "node-") {
			node = c
		}
	}
	_ = table.Flush() // who has closed our output does not read this
	fmt.Printf(`
  Kill any of them and see the rest go on:  kill -9 %d    (%s; what was killed comes back after %v)
  Ask how the nodes are:                    bin/parley doctor --cluster --config %s
  What they log is in                       %s
  Ctrl-C ends everything. The data stays, and the next make cluster goes on with it; make cluster-clean removes it.

`, node.pid.Load(), node.name, awayTime, filepath.Join(o.dir, "parley.yaml"), filepath.Join(o.dir, "log"))
}
