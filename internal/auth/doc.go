// Package auth answers who is calling: it makes and checks tokens (HS256 with the deployment's secret), checks API keys, and knows which sessions and
// tokens have been revoked. It declares what it asks of a store; internal/store implements it.
package auth
