package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// On a cluster with TLS, SCRAM and ACLs the program needs no more rights than OPERATING.md lists,
// and says plainly what is missing.

const user, password = "sessionizer", "right horse"

// documentedACLs are those of OPERATING.md.
func documentedACLs() []kfake.ACL {
	var all []kfake.ACL
	grant := func(resource kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, name string,
		operations ...kmsg.ACLOperation,
	) {
		for _, op := range operations {
			all = append(all, kfake.ACL{
				Resource: resource, Name: name, Pattern: pattern, Operation: op, Allow: true,
			})
		}
	}
	const (
		topic, group, txn = kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup,
			kmsg.ACLResourceTypeTransactionalId
		literal, prefixed = kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLResourcePatternTypePrefixed
		read, write       = kmsg.ACLOperationRead, kmsg.ACLOperationWrite
		describe, configs = kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs
		create            = kmsg.ACLOperationCreate
	)
	grant(topic, literal, "events", read, describe, configs)
	for _, name := range []string{"events.sessionized", "events.visits", "events.dead-letters"} {
		grant(topic, literal, name, read, write, describe, configs, create)
	}
	grant(topic, literal, "sessionizer-events-changelog", read, write, describe, configs, create)
	grant(group, literal, "sessionizer", read, describe)
	grant(txn, prefixed, "sessionizer-", write, describe)
	return all
}

// secureCluster returns the address of a cluster and the file of its authority.
func secureCluster(
	t *testing.T, then func(*kfake.Cluster), acls ...kfake.ACL,
) (address, caFile string) {
	t.Helper()
	certificate, caFile := selfSigned(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "events"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("SCRAM-SHA-512", "root", "root"),
		kfake.User("SCRAM-SHA-512", user, password, acls...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	address = cluster.ListenAddrs()[0]
	produceEvent(t, address, certificate.Leaf)
	if then != nil {
		then(cluster)
	}
	return address, caFile
}

func produceEvent(t *testing.T, address string, ca *x509.Certificate) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(scram.Sha512(func(context.Context) (scram.Auth, error) {
			return scram.Auth{User: "root", Pass: "root"}, nil
		})))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	r := &kgo.Record{Topic: "events", Value: []byte(
		`{"anonymousId":"a","type":"page","timestamp":"2024-12-15T11:08:25Z"}`)}
	if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// selfSigned makes a certificate for the loopback address and writes it as an authority.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, file
}

// secured are the flags of a configuration for the cluster.
func secured(t *testing.T, address, caFile, secret string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, set := range []string{
		"kafka.brokers=" + address, "kafka.tls.enabled=true", "kafka.tls.ca_file=" + caFile,
		"kafka.sasl.mechanism=SCRAM-SHA-512", "kafka.sasl.username=" + user,
		"kafka.sasl.password_file=" + file, "state.dir=" + t.TempDir(),
	} {
		flags = append(flags, "--set", set)
	}
	return flags
}

func TestSecurity_TheDocumentedRightsSuffice(t *testing.T) {
	t.Chdir(t.TempDir())
	address, ca := secureCluster(t, nil, documentedACLs()...)
	flags := secured(t, address, ca, password)
	for _, args := range [][]string{{"topics", "--create"}, {"run", "--until-end"}} {
		r := sessionizer(t, "", append(args, flags...)...)
		if r.code != exitFine {
			t.Fatalf("%v: code %d, stderr %s", args, r.code, r.stderr)
		}
		if strings.Contains(r.stderr, password) || strings.Contains(r.stderr, "no right") {
			t.Errorf("%v: stderr %s", args, r.stderr)
		}
	}
}

// A broker says so with an error code; the embedded one would only drop the connection.
func TestSecurity_AWrongPasswordEndsItPlainly(t *testing.T) {
	t.Chdir(t.TempDir())
	address, ca := secureCluster(t, func(c *kfake.Cluster) {
		c.ControlKey(int16(kmsg.SASLAuthenticate), func(q kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp := q.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return resp, nil, true
		})
	})
	r := sessionizer(t, "", append([]string{"run"}, secured(t, address, ca, "wrong horse")...)...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "kafka.sasl.username") {
		t.Fatalf("code %d, stderr %s", r.code, r.stderr)
	}
}

func TestSecurity_MissingRightsAreNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	var acls []kfake.ACL
	for _, a := range documentedACLs() {
		if a.Resource != kmsg.ACLResourceTypeTransactionalId {
			acls = append(acls, a)
		}
	}
	address, ca := secureCluster(t, nil, acls...)
	flags := secured(t, address, ca, password)
	r := sessionizer(t, "", append([]string{"topics", "--create"}, flags...)...)
	if r.code != exitFine {
		t.Fatal(r.stderr)
	}
	r = sessionizer(t, "", append([]string{"run", "--until-end"}, flags...)...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED") ||
		!strings.Contains(r.stderr, "OPERATING.md") {
		t.Fatalf("code %d, stderr %s", r.code, r.stderr)
	}
}
