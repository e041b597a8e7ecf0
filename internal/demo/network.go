package demo

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
)

// cutNetwork is the connections of one incarnation of the processor. All of them
// are cut at once, for good, at a moment that is picked by what goes over them.
type cutNetwork struct {
	network Network
	cut     chan struct{} // closed when it happens

	mu    sync.Mutex
	conns map[net.Conn]bool
	left  int // produce requests until the cut, counted down; 0: none is planned
	down  bool
}

func newNetwork(on Network) *cutNetwork {
	return &cutNetwork{network: on, cut: make(chan struct{}), conns: map[net.Conn]bool{}}
}

var errCut = errors.New("the network is cut")

func (n *cutNetwork) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	c, err := n.network.DialContext(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errors.Join(errCut, c.Close())
	}
	n.conns[c] = true
	return &conn{Conn: c, network: n}, nil
}

// arm plans the cut for the so many-th produce request from now.
func (n *cutNetwork) arm(produce int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left = produce
}

// disarm takes the plan back; false: it has happened.
func (n *cutNetwork) disarm() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left = 0
	return !n.down
}

// wrote counts a request down. A produce request of a transactional producer
// is only sent inside of a transaction, and the end of it only when all of
// them are answered: cut behind one, before its answer, and the transaction is
// open at the broker with nobody left to end it.
func (n *cutNetwork) wrote(request []byte) {
	const produceKey, keyAt = 0, 4 // behind the length, see Kafka's protocol guide
	if len(request) < keyAt+2 || binary.BigEndian.Uint16(request[keyAt:]) != produceKey {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left == 0 || n.down {
		return
	}
	if n.left--; n.left > 0 {
		return
	}
	n.down = true
	for c := range n.conns {
		_ = c.Close() // it is cut either way
	}
	close(n.cut)
}

type conn struct {
	net.Conn
	network *cutNetwork
}

// Write sends a request: the client writes each with one call.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		c.network.wrote(b)
	}
	return n, err
}

func (c *conn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c.Conn)
	c.network.mu.Unlock()
	return c.Conn.Close()
}
