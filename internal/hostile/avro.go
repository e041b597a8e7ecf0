package hostile

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
)

// AvroSchema is that of the values of AvroValues.
const AvroSchema = `{"type":"record","name":"Event","fields":[
	{"name":"anonymousId","type":"string"},
	{"name":"timestamp","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"tags","type":{"type":"array","items":"string"}},
	{"name":"attrs","type":{"type":"map","values":"long"}},
	{"name":"blob","type":"bytes"},
	{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["a","b"]}},
	{"name":"extra","type":["null",{"type":"record","name":"Extra","fields":[
		{"name":"xs","type":{"type":"array","items":"long"}}]}]}]}`

// AvroValue is a value, without framing, and what becomes of it.
type AvroValue struct {
	Name   string
	Bytes  []byte
	Reason string // of its dead letter; empty: it comes out
}

// avroEvent is an event by its fields as they are encoded.
type avroEvent struct{ id, time, tags, attrs, blob, kind, extra string }

func (e avroEvent) bytes() []byte {
	return []byte(e.id + e.time + e.tags + e.attrs + e.blob + e.kind + e.extra)
}

// long is an encoded integer, and what lengths, counts, indexes and sizes are written as.
func long(n int64) string { return string(binary.AppendVarint(nil, n)) }

func sized(text string) string { return long(int64(len(text))) + text }

// AvroValues returns values of AvroSchema that lie about what they hold, and large ones that do
// not.
func AvroValues(at time.Time) []AvroValue {
	fine := avroEvent{sized("ana"), long(at.UnixMilli()), "\x00", "\x00", "\x00", "\x00", "\x00"}
	all := []AvroValue{{"Fine", fine.bytes(), ""}}
	add := func(reason, name string, change func(e *avroEvent)) {
		e := fine
		change(&e)
		all = append(all, AvroValue{name, e.bytes(), reason})
	}
	whole := fine.bytes()
	for n := range whole {
		all = append(all, AvroValue{fmt.Sprint("CutOff", n), whole[:n], "malformed"})
	}
	all = append(all, AvroValue{"Trailing", append(fine.bytes(), 0), "malformed"})
	lies := []int64{-1, 7, 1 << 20, 1 << 31, 1 << 40, math.MaxInt64, math.MinInt64}
	for i, n := range lies {
		lie := long(n)
		add("malformed", fmt.Sprint("Text", i), func(e *avroEvent) { e.id = lie + "ana" })
		add("malformed", fmt.Sprint("Bytes", i), func(e *avroEvent) {
			e.blob, e.extra = lie+"b", ""
		})
		add("malformed", fmt.Sprint("Index", i), func(e *avroEvent) { e.extra = lie })
		add("malformed", fmt.Sprint("Symbol", i), func(e *avroEvent) { e.kind = lie })
		add("malformed", fmt.Sprint("ItemLength", i), func(e *avroEvent) {
			e.tags = "\x02" + lie + "x"
		})
		add("malformed", fmt.Sprint("KeyLength", i), func(e *avroEvent) {
			e.attrs = "\x02" + lie + "x"
		})
		add("malformed", fmt.Sprint("Block", i), func(e *avroEvent) { e.extra = "\x02" + lie })
		// A negative count has the block's size behind it.
		add("malformed", fmt.Sprint("BlockSize", i), func(e *avroEvent) {
			e.tags = "\x01" + lie + sized("x") + "\x00"
		})
		add("malformed", fmt.Sprint("MapBlockSize", i), func(e *avroEvent) {
			e.attrs = "\x01" + lie + sized("x") + "\x02" + "\x00"
		})
	}
	for i, n := range lies[3:] {
		count := long(n)
		add("malformed", fmt.Sprint("Count", i), func(e *avroEvent) { e.tags = count + "\x00\x00" })
		add("malformed", fmt.Sprint("MapCount", i), func(e *avroEvent) { e.attrs = count + "\x00\x00" })
	}
	add("malformed", "EndlessNumber", func(e *avroEvent) { e.time = strings.Repeat("\xff", 1000) })
	add("malformed", "TextNotUTF8", func(e *avroEvent) { e.id = sized("\xff") })
	add("malformed", "ItemNotUTF8", func(e *avroEvent) {
		e.tags = "\x02" + sized("\xc0\xaf") + "\x00"
	})
	add("malformed", "KeyNotUTF8", func(e *avroEvent) {
		e.attrs = "\x02" + sized("\x80") + "\x02\x00"
	})
	add("no_key", "BlankID", func(e *avroEvent) { e.id = sized(" ") })
	add("limit", "LongID", func(e *avroEvent) {
		e.id = sized(strings.Repeat("x", limitAnonymousID+1))
	})
	add("limit", "TooLarge", func(e *avroEvent) { e.blob = sized(strings.Repeat("b", limitRecord)) })
	add("", "ManyItems", func(e *avroEvent) {
		e.tags = long(mega+1) + strings.Repeat("\x00", mega+1) + "\x00"
	})
	add("", "ManyBlocks", func(e *avroEvent) { e.tags = strings.Repeat("\x02\x00", mega/4) + "\x00" })
	add("", "ManySizedBlocks", func(e *avroEvent) {
		e.tags = strings.Repeat("\x01\x02\x00", mega/4) + "\x00"
	})
	add("", "SameKeys", func(e *avroEvent) {
		e.attrs = long(mega/8) + strings.Repeat(sized("k")+"\x02", mega/8) + "\x00"
	})
	add("", "LongBytes", func(e *avroEvent) { e.blob = sized(strings.Repeat("\xff", mega)) })
	return all
}

// AvroKinds returns values of AvroSchema, without framing, whose cost must grow with their size and
// no faster. Repeat is there as often as the count in front says.
func AvroKinds(at time.Time) []Growing {
	fine := avroEvent{sized("grows"), long(at.UnixMilli()), "\x00", "\x00", "\x00", "\x00", "\x00"}
	kind := func(name, repeat string, around func(e *avroEvent)) Growing {
		e := fine
		around(&e)
		front, back, _ := strings.Cut(string(e.bytes()), mark)
		return Growing{Name: name, Front: front, Repeat: repeat, Back: back}
	}
	// Blocks of one item each, so that no count depends on the size.
	all := []Growing{
		kind("Items", "\x02"+sized("tag"), func(e *avroEvent) { e.tags = mark + "\x00" }),
		kind("EmptyItems", "\x02\x00", func(e *avroEvent) { e.tags = mark + "\x00" }),
		kind("SizedBlocks", "\x01"+long(4)+sized("tag"), func(e *avroEvent) {
			e.tags = mark + "\x00"
		}),
		kind("NotASCII", "\x02"+sized("é€"), func(e *avroEvent) { e.tags = mark + "\x00" }),
		kind("SameKeys", "\x02"+sized("k")+long(7), func(e *avroEvent) { e.attrs = mark + "\x00" }),
		kind("LongNumbers", "\x02"+sized("k")+long(math.MinInt64), func(e *avroEvent) {
			e.attrs = mark + "\x00"
		}),
		kind("Records", "\x02"+long(7), func(e *avroEvent) { e.extra = "\x02" + mark + "\x00" }),
		kind("CutOff", "\x02"+sized("tag"), func(e *avroEvent) {
			e.tags, e.attrs, e.blob, e.kind, e.extra = mark, "", "", "", ""
		}),
	}
	// What has its length in front is of one size: see Value.
	return append(all,
		Growing{Name: "Bytes", Front: fine.id + fine.time + fine.tags + fine.attrs, Repeat: "b",
			Back: fine.kind + fine.extra, Sized: true},
		Growing{Name: "AnonymousID", Repeat: "a", Sized: true,
			Back: fine.time + fine.tags + fine.attrs + fine.blob + fine.kind + fine.extra})
}

// mark is where a growing value has what it consists of.
const mark = "<here>"

// AvroSchemas are schemas that must be refused, by name.
func AvroSchemas() map[string]string {
	wrap := func(of string) string {
		return `{"type":"record","name":"E","fields":[{"name":"anonymousId","type":"string"},` +
			`{"name":"x","type":` + of + `}]}`
	}
	deep := func(n int) string {
		return strings.Repeat(`{"type":"array","items":`, n) + `"long"` + strings.Repeat("}", n)
	}
	var fields strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&fields, `,{"name":"f%d","type":"long"}`, i)
	}
	// Each record has the one before it twice: 2^40 places.
	var doubling strings.Builder
	doubling.WriteString(`{"type":"record","name":"R0","fields":[{"name":"a","type":"long"}]}`)
	for i := 1; i <= 40; i++ {
		inner := doubling.String()
		doubling.Reset()
		fmt.Fprintf(&doubling, `{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},`+
			`{"name":"b","type":"R%d"}]}`, i, inner, i-1)
	}
	return map[string]string{
		"NoJSON": "{", "NoSchema": `{"type":"nothing"}`, "Empty": "",
		"Recursive": `{"type":"record","name":"E","fields":[{"name":"anonymousId","type":"string"},` +
			`{"name":"next","type":["null","E"]}]}`,
		"ItemsOfNull": wrap(`{"type":"array","items":"null"}`),
		"EmptyItems":  wrap(`{"type":"array","items":{"type":"record","name":"N","fields":[]}}`),
		"FixedOfNone": wrap(`{"type":"array","items":{"type":"fixed","name":"F","size":0}}`),
		"DeepNesting": wrap(deep(10_000)),
		"ManyFields": `{"type":"record","name":"E","fields":[{"name":"anonymousId","type":"string"}` +
			fields.String() + `]}`,
		"Doubling":      wrap(doubling.String()),
		"HugeFixed":     wrap(`{"type":"fixed","name":"F","size":9223372036854775807}`),
		"NegativeFixed": wrap(`{"type":"fixed","name":"F","size":-1}`),
	}
}
