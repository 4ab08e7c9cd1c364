// Package check looks at what is shipped under deploy: the Helm chart is linted and rendered by Helm, and what comes out is read strictly as what Kubernetes takes;
// the compose file is loaded by the library of docker compose. Neither starts anything.
package check
