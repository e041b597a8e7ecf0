//go:build kafka

package kafkatest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is a TCP proxy in front of a broker that advertises it: a network that can be cut.
type proxy struct {
	target string
	listen net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool // of both sides
	state proxyState
	flows chan struct{} // closed while bytes flow
	cuts  int           // connections that were cut
}

type proxyState int

const (
	passing proxyState = iota
	refusing
	holding // connections stay, and nothing passes: as packets that are lost
)

func newProxy(t *testing.T, address, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, listen: l, conns: map[net.Conn]bool{}, flows: make(chan struct{})}
	close(p.flows)
	var done sync.WaitGroup
	done.Go(func() { p.serve(t.Context(), &done) })
	t.Cleanup(func() {
		p.set(refusing)
		if err := l.Close(); err != nil {
			t.Errorf("close the proxy: %v", err)
		}
		done.Wait()
	})
	return p
}

func (p *proxy) serve(ctx context.Context, done *sync.WaitGroup) {
	for {
		in, err := p.listen.Accept()
		if err != nil {
			return
		}
		var dialer net.Dialer
		out, err := dialer.DialContext(ctx, "tcp", p.target)
		if err != nil || !p.keep(in, out) {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			continue
		}
		done.Go(func() { p.copy(in, out) })
		done.Go(func() { p.copy(out, in) })
	}
}

// keep remembers a connection's two sides, if the network is not cut.
func (p *proxy) keep(sides ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == refusing {
		return false
	}
	for _, c := range sides {
		p.conns[c] = true
	}
	return true
}

func (p *proxy) copy(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		flows := p.flows
		p.mu.Unlock()
		<-flows
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			if err != nil && !errors.Is(err, io.EOF) {
				p.drop(from)
			}
			p.drop(to)
			return
		}
	}
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

// set changes the network. Refusing cuts the connections that are there.
func (p *proxy) set(state proxyState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wasHolding := p.state == holding
	p.state = state
	switch {
	case state == holding && !wasHolding:
		p.flows = make(chan struct{})
	case state != holding && wasHolding:
		close(p.flows)
	}
	if state == refusing {
		for c := range p.conns {
			_ = c.Close()
			delete(p.conns, c)
			p.cuts++
		}
	}
}
