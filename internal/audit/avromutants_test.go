package audit_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"sessionizer/internal/audit"
)

// Mutants of topics in Avro: values are taken apart, changed and put together again by goavro.

// avroMutant changes a record of the output, or of the visits, that a condition is true of.
func (m *mutation) avroMutant(at topicPartition, change func(e map[string]any) bool) bool {
	list := m.records[at]
	for i := range list {
		r := &list[(len(list)/2+m.n*7+i)%len(list)]
		if len(r.Value) < 5 || r.Value[0] != 0 {
			continue
		}
		codec := m.avro.codecs[binary.BigEndian.Uint32(r.Value[1:])]
		native, rest, err := codec.NativeFromBinary(r.Value[5:])
		if err != nil || len(rest) > 0 {
			continue
		}
		if !change(native.(map[string]any)) {
			continue
		}
		value, err := codec.BinaryFromNative(bytes.Clone(r.Value[:5]), native)
		if err != nil {
			panic(err)
		}
		r.Value = value
		return true
	}
	return false
}

// sessionOf is the session of an event; nil: it has none.
func sessionOf(e map[string]any) map[string]any {
	context, _ := e["context"].(map[string]any)
	for _, c := range context {
		session, _ := c.(map[string]any)["session"].(map[string]any)
		for _, s := range session {
			return s.(map[string]any)
		}
	}
	return nil
}

// onSession changes a field of a session that has a value.
func onSession(field string, change func(union map[string]any)) func(*mutation) bool {
	return func(m *mutation) bool {
		return m.avroMutant(m.output(), func(e map[string]any) bool {
			s := sessionOf(e)
			union, _ := s[field].(map[string]any)
			if union == nil || s["eventIndex"] == nil {
				return false
			}
			change(union)
			return true
		})
	}
}

func oneMore(union map[string]any) { union["long"] = union["long"].(int64) + 1 }

func onEvent(change func(e, properties map[string]any)) func(*mutation) bool {
	return func(m *mutation) bool {
		return m.avroMutant(m.output(), func(e map[string]any) bool {
			if s := sessionOf(e); s == nil || s["eventIndex"] == nil {
				return false
			}
			change(e, e["properties"].(map[string]any))
			return true
		})
	}
}

func onVisit(change func(v map[string]any) bool) func(*mutation) bool {
	return func(m *mutation) bool {
		return m.avroMutant(m.visits(), func(v map[string]any) bool {
			return v["event"] == "Visit Ended" && v["reason"] == "inactivity" && change(v)
		})
	}
}

func count(name string) func(*mutation) bool {
	return onVisit(func(v map[string]any) bool {
		counts := v["counts"].(map[string]any)
		counts[name] = counts[name].(int64) + 1
		return true
	})
}

func avroMutants() []mutant {
	list := []mutant{
		{"ABytesValueChanges", audit.CheckPayload, onEvent(func(_, p map[string]any) {
			p["blob"] = []byte{1, 2}
		})},
		{"ANumberChanges", audit.CheckPayload, onEvent(func(_, p map[string]any) { p["price"] = 1.25 })},
		{"AMapsValueChanges", audit.CheckPayload, onEvent(func(_, p map[string]any) {
			p["tags"] = map[string]any{"a": map[string]any{"float": float32(1.5)}, "b": nil}
		})},
		{"AMapsNullIsLost", audit.CheckPayload, onEvent(func(_, p map[string]any) {
			p["tags"] = map[string]any{"a": map[string]any{"float": float32(1.25)}}
		})},
		{"AnEnumChanges", audit.CheckPayload, onEvent(func(_, p map[string]any) { p["text"] = "cd" })},
		{"ATextBecomesNull", audit.CheckPayload, onEvent(func(e, _ map[string]any) {
			e["anonymousId"] = nil
		})},
		{"AStartNever", audit.CheckStart, func(m *mutation) bool {
			return m.avroMutant(m.output(), func(e map[string]any) bool {
				s := sessionOf(e)
				had := s != nil && s["start"] != nil && s["reason"] != nil
				if had {
					s["start"] = nil
				}
				return had
			})
		}},
		{"AnIndexIsLeftOut", audit.CheckIndex, onSession("index", oneMore)},
		{"AnEventIndexIsLeftOut", audit.CheckEventIndex, onSession("eventIndex", oneMore)},
		{"ThePreviousIDIsAnothers", audit.CheckPreviousID, onSession("previousId", oneMore)},
		{"TheIDIsAnothers", audit.CheckSession, onSession("id", oneMore)},
		{"TheUUIDIsAnothers", audit.CheckUUID, onSession("uuid", func(union map[string]any) {
			union["string"] = "0193ca01-50bb-7b17-acea-34706793f387"
		})},
		{"StartedAtIsWrong", audit.CheckFields, onSession("startedAt", func(union map[string]any) {
			union["long.timestamp-millis"] = timeOf(worldStart)
		})},
		{"TheTimeoutIsWrong", audit.CheckFields, onSession("timeoutMs", oneMore)},
		{"AByteFollows", audit.CheckPayload, func(m *mutation) bool {
			list := m.records[m.output()]
			i := slices.IndexFunc(list, func(r audit.Record) bool { return len(r.Value) > 99 })
			r := &list[i+100]
			r.Value = append(bytes.Clone(r.Value), 0)
			return true
		}},
		{"ARevisionIsLeftOut", audit.CheckVisit, onVisit(func(v map[string]any) bool {
			v["revision"] = v["revision"].(int64) + 1
			return true
		})},
		{"AVisitIsOfNobody", audit.CheckVisit, onVisit(func(v map[string]any) bool {
			v["anonymousId"] = "nobody"
			return true
		})},
		{"AVisitsEndIsWrong", audit.CheckTotals, onVisit(func(v map[string]any) bool {
			v["endedAt"] = timeOf(worldStart)
			return true
		})},
		{"AVisitsContextIsWrong", audit.CheckTotals, onVisit(func(v map[string]any) bool {
			union, _ := v["context"].(map[string]any)
			if union == nil {
				return false
			}
			union["map"].(map[string]any)["more"] = "x"
			return true
		})},
		{"AVisitCannotBeRead", audit.CheckVisit, func(m *mutation) bool {
			return m.with(m.visits(), func(r *audit.Record) bool { r.Value = r.Value[:20]; return true })
		}},
	}
	for _, name := range []string{"events", "pages", "late", "attached"} {
		list = append(list, mutant{"TheTotal_" + name, audit.CheckTotals, count(name)})
	}
	for _, m := range slices.Concat(recordMutants(), visitMutants()) {
		switch m.name {
		case "ADeadLetterIsLost", "ATransactionRunsTwice", "ADeadLetterIsDoubled", "TheTimestampChanges",
			"ARecordComesFromNowhere", "ADeadLettersReasonIsMissing", "ADeadLetterHasAnotherReason",
			"ADeadLetterComesOutToo", "TheVisitsKeyIsAnothers", "TheVisitsOrderChanges", "TheKeyChanges":
			list = append(list, m)
		}
	}
	return list
}

func TestMutants_EachIsFoundInAvro(t *testing.T) {
	var clean []*world
	for seed := range uint64(3) {
		w := newAvroWorld(t, avroConfigs()[1], []int{framed, mixed, framed}[seed], seed)
		w.draw(t, 700)
		w.run(t)
		if r := w.verify(t); !r.Clean() {
			t.Fatalf("seed %d: %v", seed, r.Findings)
		}
		clean = append(clean, w)
	}
	eachIsFound(t, avroMutants(), clean)
}
