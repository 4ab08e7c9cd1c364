package cluster

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// StatusPath is where a node tells other nodes, and `parley doctor --cluster`, how it is.
const StatusPath = "/status"

// Status is how a node is, as it sees it itself. Times are milliseconds.
type Status struct {
	Node      string               `json:"node"`
	Version   string               `json:"version"`
	Level     int                  `json:"level"`
	Settings  map[string]string    `json:"settings"`
	Now       time.Time            `json:"now"` // by its clock
	StartedAt time.Time            `json:"started_at"`
	Draining  bool                 `json:"draining"`
	Sessions  int                  `json:"sessions"`
	Epoch     string               `json:"epoch"`
	StoreMS   float64              `json:"store_ms"` // how long the store has taken to answer; below 0 where it did not
	SkewMS    float64              `json:"skew_ms"`  // how far the store's clock is ahead of this machine's
	Broker    Engine               `json:"broker"`
	State     Engine               `json:"state"`
	Heard     map[string]time.Time `json:"heard"` // by node: when its last probe came through the broker
}

// Engine is a broker or a shared state as a node sees it.
type Engine struct {
	Configured bool `json:"configured"`
	Connected  bool `json:"connected"`
	RoundTrip  bool `json:"round_trip"`     // what this node sent itself through it has come back
	Nodes      int  `json:"nodes,omitzero"` // that share it, as this node sees it
}

// maxStatus bounds what another node may say of itself.
const maxStatus = 1 << 20

func (c *Cluster) ask(ctx context.Context, n Node) (*Status, error) { return ask(ctx, c.transport, n) }

// Ask asks a node how it is. The identity is that of its store.
func Ask(ctx context.Context, identity *Identity, n Node) (*Status, error) {
	transport := newTransport(identity)
	defer transport.CloseIdleConnections()
	return ask(ctx, transport, n)
}

func ask(ctx context.Context, transport *http.Transport, n Node) (*Status, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+n.Address+StatusPath, nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
	status := &Status{}
	return status, json.UnmarshalRead(http.MaxBytesReader(nil, response.Body, maxStatus), status)
}
