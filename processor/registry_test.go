//go:build synctests

package processor

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"

	"sessionizer/schemas"
)

// The schemas of events come from a registry, which may be away, behind, or say no. Events wait for
// it and nothing else does: not the other partitions, no rebalance, no operator.

func TestRegistryIsAway(t *testing.T) {
	t.Run("AtTheStart", func(t *testing.T) {
		avroBubble(t, 2, func(w *world, a *avro) {
			c := w.config("a")
			w.create(c)
			a.down()
			m := w.start(c)
			w.feed(5, w.avroLoad(60, 101))
			w.advance(time.Minute)
			w.runs("a", m)
			if out, dead := len(w.read("out")[0]), w.dead(0); out+len(dead) != 0 {
				t.Fatalf("%d events came out without their schema, dead letters %v", out, dead)
			}
			if n := w.logged("the schema registry does not answer"); n < 3 || n > 8 {
				t.Errorf("the log says %d times in a minute that the registry is away, want about 6", n)
			}
			w.neverSays("s3cret")
			if n := w.logged("lane reset"); n != 0 {
				t.Errorf("%d lane resets", n)
			}
			a.up()
			w.advance(10 * time.Second)
			if out := len(w.read("out")[0]); out != 60 {
				t.Errorf("%d events came out 10 s after the registry was back, want 60", out)
			}
			if w.logged("answers again") != 1 {
				t.Error("the log does not say that the registry is back")
			}
			w.stopsWell(m)
			w.finish(c)
			w.verify()
		})
	})
	for _, how := range []string{"Refused", "Hanging", "Failing"} {
		t.Run("InMidRun_"+how, func(t *testing.T) {
			avroBubble(t, 2, func(w *world, a *avro) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				events := w.avroLoad(60, 101)
				some := map[int32][]*kgo.Record{}
				for p := range events {
					some[p], events[p] = events[p][:20], events[p][20:]
				}
				w.feed(4, some)
				before := a.asked.Load()
				switch how {
				case "Refused":
					a.down()
				case "Hanging":
					a.hangs.Store(true)
				case "Failing":
					a.status.Store(http.StatusServiceUnavailable)
				}
				framedAgain(events[0][10], 102)
				w.feed(4, events)
				w.advance(80 * time.Minute) // of virtual time: what is silent ends by the clock
				w.runs("a", m)
				out := w.read("out")
				if len(out[0]) != 30 || len(out[1]) != 60 {
					t.Errorf("%d and %d events came out, want the 30 before the schema that is not known and "+
						"all 60 of the other partition", len(out[0]), len(out[1]))
				}
				ended := len(w.read("visits")[1])
				if n := w.logged("lane reset"); n != 0 {
					t.Errorf("%d lane resets", n)
				}
				a.hangs.Store(false)
				a.status.Store(0)
				if how == "Refused" {
					a.up()
				} else if a.asked.Load() == before {
					t.Fatal("nobody asked the registry while it was away")
				}
				w.advance(30 * time.Second)
				if n := len(w.read("visits")[1]); n != ended || n == 0 {
					t.Errorf("%d visits of the other partition ended meanwhile, want all %d", ended, n)
				}
				w.stopsWell(m)
				w.finish(c)
				w.audit()
				w.reference()
				w.same() // the visits are not: the clock has ended some
			})
		})
	}
	t.Run("AndTheProcessIsStopped", func(t *testing.T) {
		avroBubble(t, 2, func(w *world, a *avro) {
			c := w.config("a")
			w.create(c)
			a.hangs.Store(true)
			m := w.start(c)
			w.feed(2, w.avroLoad(20, 101))
			w.advance(20 * time.Second)
			w.stopsWell(m)
			a.hangs.Store(false)
			w.finish(c)
			w.verify()
		})
	})
	t.Run("AndAMemberJoins", func(t *testing.T) {
		avroBubble(t, 4, func(w *world, a *avro) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.feed(4, w.avroLoad(20, 101))
			a.down()
			w.feed(4, w.avroLoad(20, 102))
			b := w.config("b")
			n := w.start(b)
			w.advance(20 * time.Second)
			if own := w.owners(); own["g-a-0"] != 2 || own["g-b-0"] != 2 {
				t.Errorf("the partitions are %v, want two each", own)
			}
			a.up()
			w.advance(20 * time.Second)
			w.stopsWell(m)
			w.stopsWell(n)
			w.finish(c)
			w.verify()
		})
	})
}

// framedAgain takes an event that is framed already to another schema.
func framedAgain(r *kgo.Record, id byte) {
	r.Value = append(r.Value, 0)
	r.Value[4] = id
}

// A transaction is aborted after the client's position went past what waits.
func TestRegistryAbortBehindWhatWaited(t *testing.T) {
	avroBubble(t, 2, func(w *world, a *avro) {
		c := w.config("a")
		w.create(c)
		m := w.start(c)
		events := w.avroLoad(60, 101)
		some := map[int32][]*kgo.Record{}
		for p := range events {
			some[p], events[p] = events[p][:20], events[p][20:]
		}
		w.feed(4, some)
		a.down()
		framedAgain(events[0][10], 102)
		w.produceAll(0, events[0]) // all of them wait: nothing comes later that would show a gap
		w.advance(250 * time.Millisecond)
		delete(events, 0)
		w.feed(4, events) // the commits of partition 1 take the client ahead
		fault := w.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Count: 1, Err: kerr.IllegalGeneration,
		})
		a.up()
		w.advance(30 * time.Second)
		if fault.Hits() != 1 {
			t.Fatalf("%d commits were refused, want 1", fault.Hits())
		}
		if n := w.logged("lane reset"); n != 1 {
			t.Errorf("%d lane resets, want the one that goes back to what waited", n)
		}
		if n := len(w.read("out")[0]); n != 60 {
			t.Errorf("%d events came out, want 60", n)
		}
		w.stopsWell(m)
		w.finish(c)
		w.verify()
	})
}

func TestRegistryDoesNotHaveASchema(t *testing.T) {
	t.Run("ForGood", func(t *testing.T) {
		avroBubble(t, 2, func(w *world, a *avro) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.produce(0, framed([]*kgo.Record{event("ana", 0)}, 101)...)
			w.produce(0, framed([]*kgo.Record{event("ana", 1)}, 77)...)
			w.produce(0, framed([]*kgo.Record{event("ana", 2)}, 101)...)
			w.advance(missingAfter / 2)
			w.produce(1, framed([]*kgo.Record{event("bob", 0)}, 101)...)
			w.advance(2 * time.Second)
			if in, dead := len(w.read("out")[1]), w.dead(0); in != 1 || len(dead) != 0 {
				t.Errorf("%d events of the other partition, dead letters %v before the registry was "+
					"given time", in, dead)
			}
			w.advance(missingAfter)
			want := "malformed: schema 77: the schema registry does not have it"
			if dead := w.dead(0); len(dead) != 1 || dead[0] != want {
				t.Fatalf("dead letters %q, want %q", dead, want)
			}
			asked := a.asked.Load()
			w.produce(0, framed([]*kgo.Record{event("ana", 3), event("ana", 4)}, 77)...)
			w.advance(2 * time.Second)
			if n := len(w.dead(0)); n != 3 || a.asked.Load() != asked {
				t.Errorf("%d dead letters, %d requests more for an id known to be missing; want 3 and none",
					n, a.asked.Load()-asked)
			}
			a.fake.SeedSchema("late-value", 1, 77, sr.Schema{Schema: eventSchema("")})
			w.advance(missingFor)
			w.produce(0, framed([]*kgo.Record{event("ana", 5)}, 77)...)
			w.advance(2 * time.Second)
			if dead, out := len(w.dead(0)), len(w.read("out")[0]); dead != 3 || out != 3 {
				t.Errorf("%d dead letters, %d events; want 3 and 3: the schema came to be", dead, out)
			}
			w.stopsWell(m)
		})
	})
	t.Run("Yet", func(t *testing.T) {
		avroBubble(t, 1, func(w *world, a *avro) {
			c := w.config("a")
			w.create(c)
			a.status.Store(http.StatusNotFound)
			a.code.Store(40403)
			m := w.start(c)
			w.feed(1, w.avroLoad(10, 101))
			w.advance(missingAfter * 3 / 4)
			a.status.Store(http.StatusBadGateway) // the count of answers begins anew
			w.advance(missingAfter)
			a.status.Store(http.StatusNotFound)
			w.advance(missingAfter * 3 / 4)
			if asked := a.asked.Load(); asked < 6 {
				t.Fatalf("the registry was asked %d times", asked)
			}
			a.status.Store(0)
			w.advance(2 * backoffLast)
			if dead, out := w.dead(0), len(w.read("out")[0]); len(dead) != 0 || out != 10 {
				t.Errorf("dead letters %v, %d events; want none and 10", dead, out)
			}
			w.stopsWell(m)
			w.finish(c)
			w.verify()
		})
	})
	t.Run("ThousandsOfThem", func(t *testing.T) {
		avroBubble(t, 2, func(w *world, a *avro) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			const many = 3000
			hostile := func() (events []*kgo.Record) {
				for i := range many {
					e := framed([]*kgo.Record{event("eve", i)}, 101)
					copy(e[0].Value[1:], []byte{byte(i), 1, byte(i >> 8), 7})
					events = append(events, e...)
				}
				return events
			}
			w.produceAll(0, append(hostile(), framed([]*kgo.Record{event("ana", 0)}, 101)...))
			w.produce(1, framed([]*kgo.Record{event("bob", 0)}, 101)...)
			w.advance(5 * time.Second)
			if n := len(w.read("out")[1]); n != 1 {
				t.Errorf("%d events of the other partition, want 1", n)
			}
			w.advance(time.Minute)
			if dead, out := len(w.dead(0)), len(w.read("out")[0]); dead != many || out != 1 {
				t.Errorf("%d dead letters, %d events; want %d and 1", dead, out, many)
			}
			w.produceAll(0, hostile()) // their minute is over
			w.advance(10 * time.Second)
			w.produceAll(0, hostile()) // known to be missing
			w.advance(2 * time.Second)
			if dead := len(w.dead(0)); dead != 3*many {
				t.Errorf("%d dead letters of three times %d", dead, many)
			}
			if n := w.logged("does not have a schema"); n > 15 {
				t.Errorf("the log says %d times that a schema is missing", n)
			}
			w.stopsWell(m)
		})
	})
}

func TestRegistryEvolution(t *testing.T) {
	avroBubble(t, 2, func(w *world, a *avro) {
		c := w.config("a")
		w.create(c)
		m := w.start(c)
		events := w.avroLoad(60, 101)
		for p := range events {
			for i := 20; i < 60; i += 1 + i%3 {
				framedAgain(events[p][i], 102) // in turns with its predecessor
			}
		}
		w.feed(10, events)
		w.advance(5 * time.Second)
		for p := range w.parts {
			if ids := w.outIDs(p); len(ids) != 2 || ids[101] != 0 || ids[102] != 0 {
				t.Errorf("the schema ids of the output of %d are %v, want two of its own", p, ids)
			}
		}
		if n := a.asked.Load(); n > 4 {
			t.Errorf("%d requests for two schemas, want two for each", n)
		}
		w.stopsWell(m)
		w.finish(c)
		w.verify()
	})
}

func TestRegistrySchemasThatCannotBeRead(t *testing.T) {
	avroBubble(t, 1, func(w *world, a *avro) {
		a.fake.SeedSchema("json-value", 1, 90, sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
		a.fake.SeedSchema("loop-value", 1, 91, sr.Schema{Schema: `{"type":"record","name":"Loop","fields":[
			{"name":"anonymousId","type":"string"},{"name":"next","type":["null","Loop"]}]}`})
		c := w.config("a")
		w.create(c)
		m := w.start(c)
		w.produce(0, framed([]*kgo.Record{
			event("ana", 0), event("ana", 1), event("ana", 2), event("ana", 3)}, 90, 91, 101, 90)...)
		w.advance(3 * time.Second)
		dead := w.dead(0)
		if len(dead) != 3 || len(w.read("out")[0]) != 1 || dead[0] != dead[2] ||
			!strings.Contains(dead[0], `malformed: schema 90: it is of type "JSON"`) ||
			!strings.HasPrefix(dead[1], "malformed: ") || !strings.Contains(dead[1], "Loop") {
			t.Errorf("%d events, dead letters %q", len(w.read("out")[0]), dead)
		}
		w.stopsWell(m)
	})
}

func TestRegistryRefuses(t *testing.T) {
	for _, tt := range []struct {
		name         string
		status, code int64
		want         []string
	}{
		{"ThePassword", 401, 401, []string{"schema id 101", "localhost:8081", "registry.username"}},
		{"AWrite", 403, 40301, []string{"40301", "grant the rights", "OPERATING.md"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			avroBubble(t, 2, func(w *world, a *avro) {
				c := w.config("a")
				w.create(c)
				a.status.Store(tt.status)
				a.code.Store(tt.code)
				a.writes.Store(tt.status != 401)
				m := w.start(c)
				w.feed(1, w.avroLoad(10, 101))
				w.stopped(m, time.Minute, tt.want...)
				a.status.Store(0)
				w.finish(c)
				w.verify()
			})
		})
	}
	t.Run("WhatIsNotRegisteredBefore", func(t *testing.T) {
		avroBubble(t, 1, func(w *world, a *avro) {
			a.register = false
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.feed(1, w.avroLoad(10, 101))
			w.stopped(m, time.Minute, "out-value", "registry.auto_register: true")
			p, err := c.Codec.CompileAvro(eventSchema(""))
			if err != nil {
				t.Fatal(err)
			}
			a.fake.SeedSchema("out-value", 1, 500, sr.Schema{Schema: p.Output()})
			c = w.config("a")
			w.finish(c)
			if ids := w.outIDs(0); ids[500] != 10 {
				t.Errorf("the schema ids of the output are %v, want 10 times the one that was there", ids)
			}
			w.verify()
		})
	})
}

// Visits need their schema before anything is processed.
func TestRegistryOfVisits(t *testing.T) {
	avroBubble(t, 1, func(w *world, a *avro) {
		c := w.config("a")
		w.create(c)
		c.VisitsSchema = schemas.VisitSchema()
		a.down()
		m := w.start(c)
		w.advance(20 * time.Second)
		w.runs("a", m)
		if w.logged("the visits need") == 0 {
			t.Error("the log does not say what is waited for")
		}
		a.up()
		w.produce(0, framed([]*kgo.Record{event("ana", 0), event("ana", 4000)}, 101)...)
		w.advance(10 * time.Second)
		visits := w.read("visits")[0]
		if len(visits) != 1 || !a.fake.SubjectExists("visits-value") {
			t.Fatalf("%d visits, want 1 and its subject", len(visits))
		}
		want := fmt.Sprintf(`"anonymousId":%q`, "ana")
		if got := string(a.decode(visits[0].Value)); !strings.Contains(got, want) {
			t.Errorf("the visit is %s, want %s in it", got, want)
		}
		w.stopsWell(m)
	})
	avroBubble(t, 1, func(w *world, a *avro) {
		c := w.config("a")
		w.create(c)
		c.VisitsSchema = schemas.VisitSchema()
		a.status.Store(http.StatusForbidden)
		m := w.start(c)
		w.stopped(m, time.Minute, "visits-value", "grant the rights")
	})
	avroBubble(t, 1, func(w *world, a *avro) {
		c := w.config("a")
		w.create(c)
		c.VisitsSchema = schemas.VisitSchema()
		a.hangs.Store(true)
		m := w.start(c)
		w.advance(20 * time.Second)
		w.stopsWell(m)
	})
}
