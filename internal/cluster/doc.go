// Package cluster is how the nodes of a deployment know each other: each writes into the store where the others reach it and what it is set to, and what comes
// to one node and is about a session of another is passed on to that one.
//
// Between nodes everything goes over TLS, in which both sides prove that they know the store's secret: the key of the certificate is derived from it. So there is
// nothing to configure, credentials of users are not in plain text on the wire, and nothing can be replayed. A node that is passed a request checks the user's
// credential itself, as it checks any: the word of another node is believed for nothing but that the request came through the cluster, and is not passed on again.
package cluster
