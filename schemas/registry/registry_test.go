package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// Whether an event waits, is given up or stops the service hangs on what kind of answer a registry
// gave. Each is given here by a registry that answers so.

const person = `{"type":"record","name":"Person","namespace":"acme","fields":[` +
	`{"name":"id","type":"string"}]}`

// start is a registry and a client of it.
func start(t *testing.T, opts ...srfake.Option) (*srfake.Registry, *Client) {
	t.Helper()
	fake := srfake.New(opts...)
	t.Cleanup(fake.Close)
	return fake, client(t, Config{URLs: []string{fake.URL()}})
}

func client(t *testing.T, c Config) *Client {
	t.Helper()
	cl, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// answers makes a registry that gives one answer to whatever it is asked.
func answers(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestSchemaIsWhatIsRegistered(t *testing.T) {
	fake, cl := start(t)
	fake.SeedSchema("events-value", 1, 7, sr.Schema{Schema: person})
	text, err := cl.Schema(t.Context(), 7)
	if err != nil || text != person {
		t.Errorf("schema 7 is %q, %v; want %q", text, err, person)
	}
	id, err := cl.Register(t.Context(), "out-value", person)
	if err != nil || id == 0 {
		t.Fatalf("registered as %d, %v", id, err)
	}
	again, err := cl.Register(t.Context(), "out-value", person)
	found, err2 := cl.Lookup(t.Context(), "out-value", person)
	if again != id || found != id || err != nil || err2 != nil {
		t.Errorf("registered as %d, again as %d (%v), found as %d (%v)", id, again, err, found, err2)
	}
}

func TestAnswersAreToldApart(t *testing.T) {
	type ask func(*testing.T, *Client) error
	schema := func(t *testing.T, c *Client) error { _, err := c.Schema(t.Context(), 7); return err }
	register := func(t *testing.T, c *Client) error {
		_, err := c.Register(t.Context(), "out-value", person)
		return err
	}
	lookup := func(t *testing.T, c *Client) error {
		_, err := c.Lookup(t.Context(), "out-value", person)
		return err
	}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		ask    ask
		want   Kind
		says   string
	}{
		{"no such id", 404, `{"error_code":40403,"message":"Schema not found"}`, schema, NotThere, "40403"},
		{"no such subject", 404, `{"error_code":40401,"message":"x"}`, lookup, NotThere, "40401"},
		{"no such page", 404, `<html>nothing here</html>`, schema, Unreachable, "404"},
		{"no such resource", 404, `{"error_code":404,"message":"HTTP 404"}`, schema, Unreachable, "404"},
		{"no password", 401, `{"error_code":401,"message":"Unauthorized"}`, schema, Refused, "401"},
		{"no right", 403, `{"error_code":40301,"message":"denied"}`, register, Refused, "40301"},
		{"incompatible", 409, `{"error_code":409,"message":"field x"}`, register, Declined, "field x"},
		{"read only", 422, `{"error_code":42205,"message":"mode"}`, register, Declined, "42205"},
		{"no such answer", 409, `{"error_code":409,"message":"so"}`, schema, Refused, "409"},
		{"not a registry", 405, ``, register, Refused, "405"},
		{"too many", 429, `slow down`, schema, Unreachable, "slow down"},
		{"its store is away", 500, `{"error_code":50001,"message":"store"}`, schema, Unreachable, "50001"},
		{"starting", 503, ``, lookup, Unreachable, "503"},
		{"another page", 200, `<html>sign in</html>`, schema, Unreachable, "decode"},
		{"no id", 200, `{}`, register, Unreachable, "id 0"},
		{"JSON Schema", 200, `{"schemaType":"JSON","schema":"{}"}`, schema, Unfit, "JSON"},
		{"unheard of", 200, `{"schemaType":"THRIFT","schema":"{}"}`, schema, Unfit, "THRIFT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cl := client(t, Config{URLs: []string{answers(t, tt.status, tt.body)}})
			err := tt.ask(t, cl)
			if err == nil || KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v of kind %d, want kind %d and %q", err, KindOf(err), tt.want, tt.says)
			}
			var e *Error
			if !errors.As(err, &e) || (e.Kind == Refused || e.Kind == Declined) && e.Do == "" {
				t.Errorf("%#v does not say what to do", err)
			}
		})
	}
}

// Some registries answer 404 without a code. It counts if there is a registry at the address.
func TestA404WithoutACodeIsAskedFurther(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/base/schemas/types" {
			io.WriteString(w, `["JSON","AVRO"]`)
			return
		}
		http.NotFound(w, r)
	}))
	defer s.Close()
	_, err := client(t, Config{URLs: []string{s.URL + "/base"}}).Schema(t.Context(), 7)
	if KindOf(err) != NotThere {
		t.Errorf("%v is of kind %d, want NotThere", err, KindOf(err))
	}
	_, err = client(t, Config{URLs: []string{s.URL + "/wrong"}}).Schema(t.Context(), 7)
	if KindOf(err) != Unreachable || !strings.Contains(err.Error(), "/wrong") {
		t.Errorf("%v is of kind %d, want Unreachable", err, KindOf(err))
	}
}

func TestARegistryThatIsAwayIsUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL
	s.Close()
	_, err := client(t, Config{URLs: []string{url}}).Schema(t.Context(), 7)
	if err == nil || KindOf(err) != Unreachable || !strings.Contains(err.Error(), url) {
		t.Errorf("%v, want one that names %s", err, url)
	}
}

// What is not in one replica may be in another, and one that is away may have it.
func TestAllAddressesAreAskedBeforeAnIDIsMissing(t *testing.T) {
	behind, there := srfake.New(), srfake.New()
	defer behind.Close()
	defer there.Close()
	there.SeedSchema("events-value", 1, 7, sr.Schema{Schema: person})
	away := answers(t, 503, "")
	cl := client(t, Config{URLs: []string{away, behind.URL(), there.URL()}})
	if text, err := cl.Schema(t.Context(), 7); err != nil || text != person {
		t.Errorf("schema 7 is %q, %v", text, err)
	}
	if _, err := cl.Schema(t.Context(), 8); KindOf(err) != Unreachable {
		t.Errorf("%v is of kind %d, want Unreachable: one address does not answer", err, KindOf(err))
	}
	cl = client(t, Config{URLs: []string{behind.URL(), there.URL()}})
	if _, err := cl.Schema(t.Context(), 8); KindOf(err) != NotThere {
		t.Errorf("%v is of kind %d, want NotThere", err, KindOf(err))
	}
}

func TestAnAddressThatAnsweredIsAskedFirst(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer s.Close()
	fake := srfake.New()
	defer fake.Close()
	fake.SeedSchema("events-value", 1, 7, sr.Schema{Schema: person})
	cl := client(t, Config{URLs: []string{s.URL, fake.URL()}})
	for range 3 {
		if _, err := cl.Schema(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the address that does not answer was asked %d times, want once", n)
	}
}

// An id comes out of an event: it may be anything.
func TestAnIDThatNoRegistryGivesIsNotAskedFor(t *testing.T) {
	cl := client(t, Config{URLs: []string{"http://127.0.0.1:1"}})
	if _, err := cl.Schema(t.Context(), 1<<31); KindOf(err) != NotThere {
		t.Errorf("%v is of kind %d, want NotThere", err, KindOf(err))
	}
}

func TestThePasswordIsSentAndNeverShown(t *testing.T) {
	fake, _ := start(t, srfake.WithAuth("Basic dXNlcjpzM2NyZXQ="))
	fake.SeedSchema("events-value", 1, 7, sr.Schema{Schema: person})
	cl := client(t, Config{URLs: []string{fake.URL()}, Username: "user", Password: "s3cret"})
	if _, err := cl.Schema(t.Context(), 7); err != nil {
		t.Error(err)
	}
	for _, password := range []string{"s3cret", "pa55"} {
		address := strings.Replace(fake.URL(), "://", "://user:"+password+"@", 1)
		cl := client(t, Config{URLs: []string{address}})
		_, err := cl.Schema(t.Context(), 7)
		if right := password == "s3cret"; right != (err == nil) || !right && KindOf(err) != Refused {
			t.Errorf("with the password %s: %v", password, err)
		}
		fake.Close()
		if _, away := cl.Schema(t.Context(), 7); away == nil ||
			strings.Contains(fmt.Sprint(err, away, cl), password) {
			t.Errorf("%v, %v of %s show the password", err, away, cl)
		}
		fake, _ = start(t, srfake.WithAuth("Basic dXNlcjpzM2NyZXQ="))
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 64<<10)
		for range 2 * answerBytesMax / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	_, err := client(t, Config{URLs: []string{s.URL}}).Schema(t.Context(), 7)
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v, want one that says the answer is too large", err)
	}
}

func TestReferences(t *testing.T) {
	fake, cl := start(t)
	seed := func(subject string, id int, text string, refs ...sr.SchemaReference) {
		fake.SeedSchema(subject, 1, id, sr.Schema{Schema: text, References: refs})
	}
	ref := func(name, subject string) sr.SchemaReference {
		return sr.SchemaReference{Name: name, Subject: subject, Version: 1}
	}
	seed("city", 1, `{"type":"record","name":"City","namespace":"geo","fields":[
		{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A"]}},{"name":"near","type":["null","City"]}]}`)
	seed("address", 2, `{"type":"record","name":"acme.Address","fields":[
		{"name":"city","type":"geo.City"},{"name":"kind","type":"geo.Kind"}]}`, ref("geo.City", "city"))
	seed("events-value", 3, `{"type":"record","name":"Event","namespace":"acme","fields":[
		{"name":"kinds","type":{"type":"array","items":"geo.Kind"}},
		{"name":"home","type":["null","Address"],"default":null},
		{"name":"work","type":"acme.Address"},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"},"default":9007199254740993}]}`,
		ref("acme.Address", "address"), ref("geo.City", "city"))
	text, err := cl.Schema(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	same(t, text, `{"type":"record","name":"Event","namespace":"acme","fields":[
		{"name":"kinds","type":{"type":"array","items":
			{"type":"enum","name":"Kind","namespace":"geo","symbols":["A"]}}},
		{"name":"home","type":["null",{"type":"record","name":"Address","namespace":"acme","fields":[
			{"name":"city","type":{"type":"record","name":"City","namespace":"geo","fields":[
				{"name":"kind","type":"geo.Kind"},{"name":"near","type":["null","geo.City"]}]}},
			{"name":"kind","type":"geo.Kind"}]}],"default":null},
		{"name":"work","type":"acme.Address"},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"},"default":9007199254740993}]}`)

	seed("gone", 9, `{"type":"fixed","name":"gone.Type","size":1}`)
	seed("lost", 4, `{"type":"array","items":"gone.Type"}`, ref("gone.Type", "gone"))
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/subjects/gone/") {
			return false
		}
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error_code":40402}`)
		return true
	})
	if _, err := cl.Schema(t.Context(), 4); KindOf(err) != NotThere || !strings.Contains(err.Error(), `"gone"`) {
		t.Errorf("%v of kind %d, want NotThere and the subject", err, KindOf(err))
	}
	fake.SeedSchema("proto", 1, 5, sr.Schema{Schema: `syntax = "proto3";`, Type: sr.TypeProtobuf})
	seed("mixed", 6, `{"type":"array","items":"p.T"}`, ref("p.T", "proto"))
	if _, err := cl.Schema(t.Context(), 6); KindOf(err) != Unfit {
		t.Errorf("%v of kind %d, want Unfit", err, KindOf(err))
	}
}

// same compares JSON texts.
func same(t *testing.T, got, want string) {
	t.Helper()
	tree := func(text string) (v any) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(fmt.Errorf("%w in %s", err, text))
		}
		return v
	}
	if !reflect.DeepEqual(tree(got), tree(want)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
