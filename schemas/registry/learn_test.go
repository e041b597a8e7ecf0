package registry

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"sessionizer/schemas"
)

// What is learned decides what becomes of every event with an id, for as long as the process lives.

const customer = `{"type":"record","name":"Event","fields":[
	{"name":"anonymousId","type":"string"},{"name":"timestamp","type":"string"}]}`

// pupil is a learner with a registry that has the customer's schema as 7.
func pupil(t *testing.T, subject string, register bool) (*srfake.Registry, *Learner) {
	t.Helper()
	fake, cl := start(t)
	fake.SeedSchema("events-value", 1, 7, sr.Schema{Schema: customer})
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	codec, err := schemas.NewCodec(schemas.Config{Profile: profile, Book: schemas.NewBook()})
	if err != nil {
		t.Fatal(err)
	}
	return fake, &Learner{
		Client: cl, Codec: codec, Book: codec.Book(), Subject: subject, Register: register,
	}
}

func value(id uint32) []byte {
	v := append(binary.BigEndian.AppendUint32([]byte{0}, id), 2, 'a', 40)
	return append(v, "2026-01-01T12:00:00Z"...)
}

func TestLearnAcceptsASchemaAndRegistersItsOutput(t *testing.T) {
	fake, l := pupil(t, "out-value", true)
	if why, err := l.Learn(t.Context(), 7); why != "" || err != nil {
		t.Fatalf("refused %q, %v", why, err)
	}
	if id, unknown := l.Book.Unknown(value(7)); unknown {
		t.Errorf("the schema %d is not known", id)
	}
	output, there := fake.GetSchema("out-value", 1)
	if !there || !strings.Contains(output.Schema.Schema, "eventIndex") {
		t.Errorf("the output's schema is %t %+v", there, output)
	}
	var s schemas.Scanned
	if bad := l.Codec.Scan(value(7), schemas.Record{}, &s); bad != nil {
		t.Error(bad)
	}
}

func TestLearnWithoutASubjectWritesNothing(t *testing.T) {
	fake, l := pupil(t, "", true)
	if why, err := l.Learn(t.Context(), 7); why != "" || err != nil {
		t.Fatalf("refused %q, %v", why, err)
	}
	if fake.SubjectExists("-value") || fake.SubjectExists("") {
		t.Error("a schema was registered")
	}
}

func TestLearnRefusesWhatCannotBeReadForGood(t *testing.T) {
	fake, l := pupil(t, "out-value", true)
	fake.SeedSchema("json-value", 1, 8, sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
	fake.SeedSchema("text-value", 1, 9, sr.Schema{Schema: `"string"`})
	for id, want := range map[uint32]string{8: "only AVRO", 9: "an event is a record"} {
		why, err := l.Learn(t.Context(), id)
		if err != nil || !strings.Contains(why, want) {
			t.Errorf("schema %d: refused %q, %v; want %q", id, why, err, want)
		}
		var s schemas.Scanned
		bad := l.Codec.Scan(value(id), schemas.Record{}, &s)
		if bad == nil || bad.Reason != schemas.Malformed || !strings.Contains(bad.Message, want) {
			t.Errorf("an event with the schema %d: %v, want malformed and %q", id, bad, want)
		}
	}
	if fake.SubjectExists("out-value") {
		t.Error("an output's schema was registered")
	}
}

// The book says nothing of an id until it is sure.
func TestLearnLeavesTheBookAsItWasWithAnError(t *testing.T) {
	fake, l := pupil(t, "out-value", false)
	for id, want := range map[uint32]Kind{7: Refused, 99: NotThere} {
		_, err := l.Learn(t.Context(), id)
		if _, unknown := l.Book.Unknown(value(id)); KindOf(err) != want || !unknown {
			t.Errorf("schema %d: %v of kind %d, want %d; not known: %t", id, err, KindOf(err), want, unknown)
		}
	}
	l.Register = true
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return r.Method == http.MethodPost
	})
	_, err := l.Learn(t.Context(), 7)
	if _, unknown := l.Book.Unknown(value(7)); KindOf(err) != Unreachable || !unknown {
		t.Errorf("%v of kind %d, want Unreachable; not known: %t", err, KindOf(err), unknown)
	}
}
