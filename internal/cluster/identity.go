package cluster

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"time"
)

// tagBytes of a node's digest tell nodes apart: among a thousand of them two have the same tag in one of a billion clusters.
const tagBytes = 6

// Tag is what the ids of a node's sessions end in, behind a dot, so that other nodes know whose they are.
func Tag(node string) string {
	digest := sha256.Sum256([]byte(node))
	return base64.RawURLEncoding.EncodeToString(digest[:tagBytes])
}

// tagOf is the tag in the id of a session, "" if there is none: nodes of older versions give none.
func tagOf(session string) string {
	_, tag, _ := strings.Cut(session, ".")
	return tag
}

// Identity is what nodes of one store prove to each other. The zero value is not usable.
type Identity struct {
	certificate tls.Certificate
	public      ed25519.PublicKey
}

// NewIdentity derives an identity from a key of 32 bytes that all nodes of a store know, and nobody else.
func NewIdentity(key []byte) (*Identity, error) {
	if len(key) != ed25519.SeedSize {
		return nil, errors.New("cluster: the key has not 32 bytes")
	}
	private := ed25519.NewKeyFromSeed(key)
	public := private.Public().(ed25519.PublicKey)
	// Nobody looks at what else the certificate says: it is trusted for its key, and lives as long as the process.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, crypto.PublicKey(public), private)
	if err != nil {
		return nil, err
	}
	return &Identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, public}, nil
}

// errStranger is told to the log alone: the other side of the handshake learns nothing.
var errStranger = errors.New("the other side does not have this store's key: it is no node of this cluster")

// config is for both sides. Each takes part in the handshake with the key, so that the other one knows it has it.
func (i *Identity) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{i.certificate}, ClientAuth: tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // the key is what is verified, below, on both sides and in resumed sessions too
		NextProtos:         []string{"h2"},
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) > 0 {
				if key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok && key.Equal(i.public) {
					return nil
				}
			}
			return errStranger
		},
	}
}
