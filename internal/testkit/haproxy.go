package testkit

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// StartHAProxy starts HAProxy in front of two nodes or more, with a configuration that is shipped, and stops it at the end of the test. Without HAProxy on the machine
// the test is skipped, or fails where CI is set in the environment.
func StartHAProxy(t testing.TB, shipped string, nodes ...Node) *Balancer {
	t.Helper()
	haproxy := program(t, "haproxy", "haproxy")
	dir := t.TempDir()
	certificate, key := Certificate(t)
	writeFile(t, filepath.Join(dir, "parley.pem"), slices.Concat(certificate, key))
	b := &Balancer{Addr: freeAddr(t), Certificate: certificate}
	filled := []string{
		"maxconn 50000", "maxconn 1000", "bind :443", "bind " + b.Addr, "/etc/haproxy/", dir + "/",
		"user haproxy", "uid " + strconv.Itoa(os.Getuid()), "group haproxy", "gid " + strconv.Itoa(os.Getgid()),
	}
	var servers []string
	for _, node := range nodes {
		_, admin, err := net.SplitHostPort(node.Admin)
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, node.Addr+" port "+admin)
	}
	for i := 2; i < len(servers); i++ { // lines of their own, behind the second
		servers[1] += "\n    server node" + strconv.Itoa(i+1) + " " + servers[i]
	}
	filled = append(filled, "10.0.0.11:8080 port 9080", servers[0], "10.0.0.12:8080 port 9080", servers[1])
	configuration := filepath.Join(dir, "haproxy.cfg")
	fill(t, shipped, configuration, filled)
	check(t, haproxy, "-c", "-f", configuration)
	b.run(t, "Loading success", haproxy, "-W", "-f", configuration)
	return b
}
