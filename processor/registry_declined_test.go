//go:build synctests

package processor

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"sessionizer/schemas"
)

// Anybody who may produce can name any schema of the registry. Where its output's schema does not
// go under the subject, its events are dead letters and the others go on.

func TestRegistryDeclinesASchema(t *testing.T) {
	for name, code := range map[string]int64{"Incompatible": 409, "ReadOnly": 42205} {
		t.Run(name, func(t *testing.T) {
			avroBubble(t, 2, func(w *world, a *avro) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				w.produce(0, framed([]*kgo.Record{event("ana", 0)}, 101)...)
				w.advance(2 * time.Second)
				a.writes.Store(true)
				a.code.Store(code)
				a.status.Store(http.StatusConflict)
				if code != 409 {
					a.status.Store(http.StatusUnprocessableEntity)
				}
				w.produce(0, framed([]*kgo.Record{event("eve", 1)}, 102)...)
				w.produce(0, framed([]*kgo.Record{event("ana", 2)}, 101)...)
				w.advance(5 * time.Second)
				dead := w.dead(0)
				if len(dead) != 1 || len(w.read("out")[0]) != 2 {
					t.Fatalf("%d events, dead letters %q; want 2 and one", len(w.read("out")[0]), dead)
				}
				for _, want := range []string{"malformed: schema 102", "out-value", "so it is", "dlq redrive"} {
					if !strings.Contains(dead[0], want) {
						t.Errorf("the dead letter says %q, want %q in it", dead[0], want)
					}
				}
				w.advance(2 * missingFor)
				w.produce(0, framed([]*kgo.Record{event("eve", 3)}, 102)...)
				w.advance(5 * time.Second)
				said := w.logged("events with a schema are dead letters")
				if n := len(w.dead(0)); n != 2 || said != 1 {
					t.Errorf("%d dead letters, said %d times; want 2 and once", n, said)
				}
				a.status.Store(0)
				w.advance(missingFor)
				w.produce(0, framed([]*kgo.Record{event("eve", 4)}, 102)...)
				w.advance(5 * time.Second)
				if n := len(w.read("out")[0]); n != 3 {
					t.Errorf("%d events came out a minute after it was mended, want 3", n)
				}
				w.stopsWell(m)
			})
		})
	}
	t.Run("AndThePolicyIsToStop", func(t *testing.T) {
		avroBubble(t, 1, func(w *world, a *avro) {
			c := w.config("a")
			c.Policy.On = map[schemas.Reason]Action{schemas.Malformed: Fail}
			w.create(c)
			a.writes.Store(true)
			a.status.Store(http.StatusConflict)
			m := w.start(c)
			w.produce(0, framed([]*kgo.Record{event("eve", 0)}, 102)...)
			w.stopped(m, time.Minute, "events/0@0", "schema 102", "out-value")
		})
	})
}

// With auto_register: false one schema that is not registered among others that are.
func TestRegistryOfAnotherSchema(t *testing.T) {
	avroBubble(t, 1, func(w *world, a *avro) {
		a.register = false
		c := w.config("a")
		w.create(c)
		p, err := c.Codec.CompileAvro(eventSchema(""))
		if err != nil {
			t.Fatal(err)
		}
		a.fake.SeedSchema("out-value", 1, 500, sr.Schema{Schema: " " + p.Output() + "\n"})
		m := w.start(c)
		w.produce(0, framed([]*kgo.Record{
			event("ana", 0), event("eve", 1), event("ana", 2)}, 101, 102)...)
		w.advance(missingAfter + 10*time.Second)
		dead := w.dead(0)
		if len(dead) != 1 || !strings.Contains(dead[0], "schema --output-of 102 --register") {
			t.Errorf("dead letters %q, want one that says how its schema is registered", dead)
		}
		if ids := w.outIDs(0); ids[500] != 2 {
			t.Errorf("the schema ids of the output are %v, want twice the one that was there", ids)
		}
		w.stopsWell(m)
	})
}
