//go:build unix

package kafka

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

func TestRegistry_SignalsNobodyElse(t *testing.T) {
	r, err := NewRegistry(RegistryOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file("pid"), []byte(fmt.Sprint(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if r.Running() {
		t.Error("another program's process is taken for a registry")
	}
	if err := r.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	// A broker's folder is no registry's: one may not end the other.
	if !strings.Contains(strings.Join(r.args(), " "), r.file(r.mark)) {
		t.Errorf("the command line does not name %s", r.file(r.mark))
	}
}

func TestRegistry_APortOfAnotherProgramIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	r, err := NewRegistry(RegistryOptions{Dir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d is taken", port)) {
		t.Errorf("start on a port in use: %v", err)
	}
}
