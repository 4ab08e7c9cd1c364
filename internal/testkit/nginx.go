package testkit

import (
	"path/filepath"
	"strconv"
	"testing"
)

// StartNginx starts nginx in front of two nodes, with a configuration that is shipped, and stops it at the end of the test. Without nginx on the machine the
// test is skipped, or fails where CI is set in the environment.
func StartNginx(t testing.TB, shipped string, nodes [2]Node) *Balancer {
	t.Helper()
	nginx := program(t, "nginx", "nginx-light")
	dir := t.TempDir()
	certificate, key := Certificate(t)
	writeFile(t, filepath.Join(dir, "parley.crt"), certificate)
	writeFile(t, filepath.Join(dir, "parley.key"), key)
	b := &Balancer{Addr: freeAddr(t), Certificate: certificate}
	filled := []string{
		"listen 443", "listen " + b.Addr, "/etc/nginx/", dir + "/", "/run/", dir + "/", "user www-data;", "",
		"/var/log/nginx/error.log warn", "stderr notice", "/var/log/nginx/error.log crit", "stderr crit", "/var/log/nginx/access.log", "/dev/stderr",
	}
	for i, node := range nodes {
		filled = append(filled, "10.0.0.1"+strconv.Itoa(i+1)+":8080", node.Addr)
	}
	configuration := filepath.Join(dir, "nginx.conf")
	fill(t, shipped, configuration, filled)
	check(t, nginx, "-t", "-c", configuration)
	b.run(t, "start worker process", nginx, "-c", configuration, "-g", "daemon off;")
	return b
}
