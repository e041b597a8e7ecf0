//go:build unix

package kafka

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// The id in a pid file may be anybody's after a reboot: here it is this very test's.
func TestBroker_SignalsNobodyElse(t *testing.T) {
	b, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(os.Getpid()), "1", "0", "-1", "x", ""} {
		if err := os.WriteFile(b.file("pid"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if b.Running() {
			t.Errorf("pid file %q: taken for a broker", text)
		}
		if err := b.Pause(); err == nil {
			t.Errorf("pid file %q: something was signalled", text)
		}
		if err := b.Stop(); err != nil {
			t.Errorf("pid file %q: stop: %v", text, err)
		}
	}
}

func TestBroker_APortOfAnotherProgramIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	b, err := New(Options{Dir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	err = b.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d is taken", port)) {
		t.Errorf("start on a port in use: %v", err)
	}
}

func TestBroker_OptionsComeBehindTheDefaults(t *testing.T) {
	b, err := New(Options{Dir: "d", Properties: map[string]string{"node.id": "7"}})
	if err != nil {
		t.Fatal(err)
	}
	text := b.properties()
	first, last := strings.Index(text, "node.id=1\n"), strings.LastIndex(text, "node.id=7")
	if first < 0 || last < first {
		t.Errorf("node.id=7 does not come behind node.id=1 in\n%s", text)
	}
	if !strings.Contains(text, "advertised.listeners=PLAINTEXT://"+b.Addr()+"\n") {
		t.Errorf("clients are not sent to %s by\n%s", b.Addr(), text)
	}
}
