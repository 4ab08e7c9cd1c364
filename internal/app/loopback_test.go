package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What is served at a loopback address answers to no name that a page may have made up for it.
func TestKnowsHost(t *testing.T) {
	server := httptest.NewServer(knowsHost(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "for you") })))
	defer server.Close()
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9080": 200, "127.0.0.1:9080": 200, "[::1]:9080": 200, "[::1]": 200, "10.0.0.7": 200,
		"rebound.example.com": 421, "rebound.example.com:9080": 421, "localhost.example.com": 421, "127.0.0.1.example.com:80": 421, "[": 421,
	} {
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		response.Body.Close()
		if response.StatusCode != want && (host != "[" || response.StatusCode != 400) {
			t.Errorf("as %s: %d, want %d", host, response.StatusCode, want)
		}
	}
}
