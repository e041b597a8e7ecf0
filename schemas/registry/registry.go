// Package registry speaks to a Confluent-compatible schema registry: it fetches the schemas that
// events name, and registers those of what we write.
//
// What a registry answers is of six kinds, and each has its own fate (Kind): an event must not be
// given up because a registry is away, and a registry that refuses us is mended by people only.
//
// Nothing here logs: errors are returned.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	requestTimeout  = 5 * time.Second // of one request to one of the registry's addresses
	answerBytesMax  = 8 << 20         // of one answer: a wrong address may answer anything
	idMax           = math.MaxInt32   // ids are Java's int
	idleConnTimeout = 90 * time.Second
	idleConnsMax    = 4
)

// Config says where a registry is and as whom to speak to it.
type Config struct {
	URLs []string // http:// or https://, with a path if it has one; asked in turn until one answers

	Username string // empty: that of the address, if it has one
	Password string

	TLS *tls.Config // of https:// addresses; nil: the system's authorities

	// Dial replaces the network; nil: TCP. Tests cut connections through it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client speaks to one registry. Safe for concurrent use.
type Client struct {
	hosts []host
	first atomic.Int64 // index of the host that answered last: it is asked first
	http  *http.Client
}

// host is one of a registry's addresses.
type host struct {
	shown string // the address without a password
	cl    *sr.Client
}

// New makes a client. Nothing is asked yet.
func New(c Config) (*Client, error) {
	if len(c.URLs) == 0 {
		return nil, errors.New("a schema registry without an address")
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: c.Dial, TLSClientConfig: c.TLS,
		TLSHandshakeTimeout: requestTimeout, IdleConnTimeout: idleConnTimeout,
		MaxIdleConnsPerHost: idleConnsMax, ForceAttemptHTTP2: true,
	}
	client := &Client{http: &http.Client{Timeout: requestTimeout, Transport: bounded{transport}}}
	for _, address := range c.URLs {
		u, err := url.Parse(address)
		if err != nil {
			return nil, errors.New("the address of the schema registry is no URL") // it may hold a password
		}
		user, password := c.Username, c.Password
		if u.User != nil && user == "" {
			user = u.User.Username()
			password, _ = u.User.Password()
		}
		u.User = nil // what goes wrong is told with the address
		opts := []sr.ClientOpt{
			sr.URLs(u.String()), sr.HTTPClient(client.http), sr.UserAgent("sessionizer"),
		}
		if user != "" {
			opts = append(opts, sr.BasicAuth(user, password))
		}
		cl, err := sr.NewClient(opts...)
		if err != nil {
			return nil, fmt.Errorf("make the client of the schema registry %s: %w", u, err)
		}
		client.hosts = append(client.hosts, host{u.String(), cl})
	}
	return client, nil
}

// Close ends the connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// String is the registry's addresses, without passwords.
func (c *Client) String() string {
	shown := make([]string, len(c.hosts))
	for i, h := range c.hosts {
		shown[i] = h.shown
	}
	return strings.Join(shown, ",")
}

// bounded limits the answers.
type bounded struct{ next *http.Transport }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, answerBytesMax)
	}
	return resp, err
}

// CloseIdleConnections is what the client of it calls on its Close.
func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }

// schema is a registered schema as the registry gives it. The type stays a text: one that is not
// known must not look like an answer that cannot be read.
type schema struct {
	Schema     string               `json:"schema"`
	Type       string               `json:"schemaType"`
	References []sr.SchemaReference `json:"references"`
}

// Schema returns the Avro schema that goes by an id, as one text: schemas that it refers to are in
// it. The error is an *Error.
func (c *Client) Schema(ctx context.Context, id uint32) (string, error) {
	what := fmt.Sprintf("schema id %d", id)
	if id > idMax {
		return "", &Error{Kind: NotThere, What: what,
			Cause: fmt.Errorf("a registry's ids are at most %d", idMax)}
	}
	var s schema
	err := c.ask(ctx, what, func(ctx context.Context, cl *sr.Client) error {
		s = schema{}
		return cl.Do(ctx, http.MethodGet, fmt.Sprintf("/schemas/ids/%d", id), nil, &s)
	})
	if err != nil {
		return "", err
	}
	return c.whole(ctx, what, &s)
}

// Register returns the id of a schema under a subject, which it gets if it has none.
func (c *Client) Register(ctx context.Context, subject, text string) (uint32, error) {
	what := "register a schema under the subject " + subject
	var id int
	err := c.ask(ctx, what, func(ctx context.Context, cl *sr.Client) (err error) {
		id, err = cl.RegisterSchema(ctx, subject, sr.Schema{Schema: text}, -1, -1)
		return err
	})
	if err == nil {
		err = fitID(what, id)
	}
	return uint32(id), err
}

// Lookup returns the id of a schema that is registered under a subject.
func (c *Client) Lookup(ctx context.Context, subject, text string) (uint32, error) {
	what := "look up a schema under the subject " + subject
	var found sr.SubjectSchema
	err := c.ask(ctx, what, func(ctx context.Context, cl *sr.Client) (err error) {
		found, err = cl.LookupSchema(ctx, subject, sr.Schema{Schema: text})
		return err
	})
	if err == nil {
		err = fitID(what, found.ID)
	}
	return uint32(found.ID), err
}

// fitID refuses an answer without an id, which would be framed as the id 0.
func fitID(what string, id int) error {
	if id < 1 || id > idMax {
		return &Error{Kind: Unreachable, What: what, Cause: fmt.Errorf("the answer has the id %d", id)}
	}
	return nil
}

// ask puts one question to the registry's addresses in turn. A host that does not have it may be
// behind the others: it counts only if every one of them says so.
func (c *Client) ask(
	ctx context.Context, what string, question func(context.Context, *sr.Client) error,
) error {
	var missing, away *Error
	first := int(c.first.Load())
	for i := range c.hosts {
		at := (first + i) % len(c.hosts)
		h := c.hosts[at]
		err := question(ctx, h.cl)
		if err == nil {
			c.first.Store(int64(at))
			return nil
		}
		e := classify(what, h.shown, err)
		if e.vague {
			e = h.clear(ctx, e)
		}
		switch e.Kind {
		case NotThere:
			missing = e
		case Unreachable:
			away = e
		case Refused, Declined, Unlisted, Unfit:
			return e
		}
	}
	if away != nil {
		return away
	}
	return missing
}

// clear tells the two meanings of a 404 without a registry's code apart: what we asked for is not
// there, or there is no registry at this address.
func (h host) clear(ctx context.Context, e *Error) *Error {
	types, err := h.cl.SupportedTypes(ctx)
	if err == nil && slices.Contains(types, sr.TypeAvro) {
		e.Kind, e.Do = NotThere, ""
	}
	return e
}
