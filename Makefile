# Everything that is done often, by one name each. The longer recipes live in scripts/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LISTEN  ?= 127.0.0.1:8080
DATA    ?= ./.parley
BROKER  ?= nats

.PHONY: help
help: ## say what there is (this)
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'run listens on LISTEN ($(LISTEN)) and keeps its data in DATA ($(DATA)); build writes bin/parley.'

.PHONY: run
run: build ## build and start a server for this laptop; it prints what to open
	@exec bin/parley serve --dev --listen '$(LISTEN)' --data '$(DATA)'

.PHONY: cluster
cluster: build ## run a cluster on this laptop: three nodes, two PostgreSQL, Redis, HAProxy, and BROKER (nats, redis, kafka, rabbitmq)
	@go build -o bin/parley-cluster ./scripts/cluster
	@exec bin/parley-cluster -listen '$(LISTEN)' -broker '$(BROKER)'

.PHONY: cluster-clean
cluster-clean: ## remove the data of make cluster
	@rm -rf .parley-cluster

.PHONY: build
build: ## build bin/parley, one static binary with the web client in it
	@scripts/web.sh
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/parley ./cmd/parley

.PHONY: test
test: ## run every test: npm packages, Go, and the concurrent Go packages again with -race
	@scripts/test.sh

.PHONY: lint
lint: ## check format, vet, staticcheck, dead code and the architecture
	@scripts/lint.sh

.PHONY: verify
verify: ## check that generated files and go.mod are up to date
	@scripts/verify.sh

.PHONY: fmt
fmt: ## format all Go code
	@go tool -modfile=tools/go.mod gofumpt -l -w .

.PHONY: bench
bench: build ## measure a fresh server in about a minute
	@scripts/bench.sh

.PHONY: soak
soak: ## break the parts of a cluster under load for half an hour, with every broker
	@scripts/faults.sh

.PHONY: clean
clean: ## remove what was built (data in DATA stays)
	@rm -rf bin web/built/app
