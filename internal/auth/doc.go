// Package auth answers who is calling: it makes tokens (HS256 with the deployment's secret), checks them and those of an issuer by the keys that it
// publishes, gives and redeems one-time tickets, checks API keys, and knows which sessions and tokens have been revoked. It declares what it asks of a
// store; internal/store implements it.
package auth
