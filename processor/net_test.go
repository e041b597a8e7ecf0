//go:build synctests

package processor

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// faultNet is the network of one process: every connection goes through a proxy that knows the
// frames of the protocol. It can cut all connections and refuse new ones, freeze (connections
// stay, nothing passes; what was sent arrives after the thaw, even if its sender has given up),
// and lose single requests or single answers.
type faultNet struct {
	dial func(ctx context.Context, network, host string) (net.Conn, error)

	mu     sync.Mutex
	conns  map[*proxy]bool
	down   bool
	thawed chan struct{} // closed while the network is not frozen
	rules  []*rule
	edits  map[kmsg.Key]edit
}

// edit changes the answers to one kind of request, which lets a broker say what the embedded one
// never does. It may wait.
type edit func(kmsg.Response)

// edit sets or removes (nil) the edit of a kind of request.
func (n *faultNet) edit(key kmsg.Key, e edit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.edits == nil {
		n.edits = map[kmsg.Key]edit{}
	}
	n.edits[key] = e
}

func (n *faultNet) editOf(key kmsg.Key) edit {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.edits[key]
}

// fate is what happens to a request that a rule matches.
type fate uint8

const (
	lost       fate = iota // the connection drops before the broker has seen it
	answerLost             // the broker has acted on it; the connection drops before its answer
	seen                   // nothing happens to it
)

// rule is a fault of one kind of request.
type rule struct {
	key   kmsg.Key
	skip  int64 // so many requests pass first
	count int64 // so many are hit then; 0: one
	fate  fate
	then  func() // called when it hits, for answerLost when the answer is there

	met, hits atomic.Int64
}

// matches counts a request and reports whether it is hit.
func (r *rule) matches(key kmsg.Key) bool {
	if r.key != key {
		return false
	}
	n := r.met.Add(1)
	return n > r.skip && n <= r.skip+max(r.count, 1)
}

func (r *rule) hit() {
	r.hits.Add(1)
	if r.then != nil {
		r.then()
	}
}

var errCut = errors.New("the network is cut")

func newFaultNet(dial func(context.Context, string, string) (net.Conn, error)) *faultNet {
	n := &faultNet{dial: dial, conns: map[*proxy]bool{}, thawed: make(chan struct{})}
	close(n.thawed)
	return n
}

// rule adds a fault.
func (n *faultNet) rule(r *rule) *rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = append(n.rules, r)
	return r
}

func (n *faultNet) match(key kmsg.Key) *rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.rules {
		if r.matches(key) {
			return r
		}
	}
	return nil
}

// cut drops all connections and refuses new ones until mend.
func (n *faultNet) cut() {
	n.mu.Lock()
	n.down = true
	conns := n.conns
	n.conns = map[*proxy]bool{}
	n.mu.Unlock()
	for c := range conns {
		c.close()
	}
	n.thaw()
}

func (n *faultNet) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = false
}

func (n *faultNet) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.thawed:
		n.thawed = make(chan struct{})
	default:
	}
}

func (n *faultNet) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.thawed:
	default:
		close(n.thawed)
	}
}

func (n *faultNet) gate() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.thawed
}

func (n *faultNet) DialContext(ctx context.Context, network, host string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // as kgo's own dialer
	defer cancel()
	select {
	case <-n.gate():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	down := n.down
	n.mu.Unlock()
	if down {
		return nil, errCut
	}
	broker, err := n.dial(ctx, network, host)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	p := &proxy{net: n, client: far, broker: broker}
	p.dropped.Store(-1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[p] = true
	go p.up()
	go p.down()
	return near, nil
}

// proxy is one connection.
type proxy struct {
	net            *faultNet
	client, broker net.Conn
	dropped        atomic.Int64 // correlation id of the request whose answer is lost
	onDrop         atomic.Pointer[rule]

	mu    sync.Mutex
	asked map[int32]request // by correlation id
}

// request is the kind and version of one on its way.
type request struct {
	key     kmsg.Key
	version int16
}

// note remembers a request whose answer is to be edited.
func (p *proxy) note(f []byte) {
	key := kmsg.Key(binary.BigEndian.Uint16(f[4:]))
	if p.net.editOf(key) == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil {
		p.asked = map[int32]request{}
	}
	p.asked[int32(binary.BigEndian.Uint32(f[8:]))] = request{
		key, int16(binary.BigEndian.Uint16(f[6:])),
	}
}

// edited returns an answer as its edit makes it.
func (p *proxy) edited(f []byte) []byte {
	id := int32(binary.BigEndian.Uint32(f[4:]))
	p.mu.Lock()
	asked, ok := p.asked[id]
	delete(p.asked, id)
	p.mu.Unlock()
	e := p.net.editOf(asked.key)
	if !ok || e == nil {
		return f
	}
	resp := asked.key.Response()
	resp.SetVersion(asked.version)
	head := 8 // length, correlation id
	if resp.IsFlexible() {
		head++ // no tags
	}
	if err := resp.ReadFrom(f[head:]); err != nil {
		return f
	}
	e(resp)
	f = resp.AppendTo(append([]byte(nil), f[:head]...))
	binary.BigEndian.PutUint32(f, uint32(len(f)-4))
	return f
}

func (p *proxy) close() {
	_ = p.client.Close() // it is cut either way
	_ = p.broker.Close()
}

// up brings requests to the broker. A client that has gone ends it only when the broker has what
// was on its way.
func (p *proxy) up() {
	defer p.close()
	for {
		f, err := frame(p.client)
		if err != nil {
			return
		}
		<-p.net.gate()
		r := p.net.match(kmsg.Key(binary.BigEndian.Uint16(f[4:])))
		if r != nil {
			switch r.fate {
			case lost:
				p.close()
				r.hit()
				return
			case answerLost:
				p.onDrop.Store(r)
				p.dropped.Store(int64(int32(binary.BigEndian.Uint32(f[8:]))))
			case seen:
				r.hit()
				<-p.net.gate()
			}
		}
		p.note(f)
		if _, err := p.broker.Write(f); err != nil {
			return
		}
	}
}

// down brings answers to the client.
func (p *proxy) down() {
	defer func() { _ = p.client.Close() }()
	for {
		f, err := frame(p.broker)
		if err != nil {
			return
		}
		if int64(int32(binary.BigEndian.Uint32(f[4:]))) == p.dropped.Load() {
			p.close()
			p.onDrop.Load().hit()
			return
		}
		f = p.edited(f)
		<-p.net.gate()
		if _, err := p.client.Write(f); err != nil {
			return
		}
	}
}

// frame reads one request or answer with its length.
func frame(c net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	f := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(f, size[:])
	_, err := io.ReadFull(c, f[4:])
	return f, err
}
