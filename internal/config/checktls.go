package config

import (
	"crypto/tls"
	"crypto/x509"
)

// tlsUse says whose TLS keys they are.
type tlsUse struct {
	prefix  string // of the keys
	asks    string // the key that asks for TLS
	without string // how to say that it does not
}

// checkTLS reads the files of a TLS section and checks that they go together.
func (l *loader) checkTLS(u tlsUse, t *TLS) {
	ca, cert, private := u.prefix+"ca_file", u.prefix+"cert_file", u.prefix+"key_file"
	if !t.Enabled {
		l.noEffect(u.without, u.asks, ca, cert, private, u.prefix+"server_name")
		return
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		l.cross(faultf("cert_file and key_file go together: one of them is missing"), cert, private)
	}
	if !l.sources.Offline {
		l.readTLS(ca, cert, private, t)
	}
}

func (l *loader) readTLS(ca, cert, private string, t *TLS) {
	client := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		if pem, ok := l.pem(ca, t.CAFile); ok {
			client.RootCAs = x509.NewCertPool()
			if !client.RootCAs.AppendCertsFromPEM(pem) {
				l.cross(faultf("%s holds no PEM certificate", t.CAFile), ca)
			}
		}
	}
	if t.CertFile != "" && t.KeyFile != "" {
		certificate, ok := l.pem(cert, t.CertFile)
		secret, okKey := l.pem(private, t.KeyFile)
		if ok && okKey {
			pair, err := tls.X509KeyPair(certificate, secret)
			if err != nil {
				l.cross(faultf("%s and %s: %v", t.CertFile, t.KeyFile, err), cert, private)
			}
			client.Certificates = []tls.Certificate{pair}
		}
	}
	t.client = client
}

func (l *loader) pem(key, file string) ([]byte, bool) {
	content, err := l.sources.ReadFile(file)
	if err != nil {
		l.cross(unreadable(file, err), key)
		return nil, false
	}
	return content, true
}
