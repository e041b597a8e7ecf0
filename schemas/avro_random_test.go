package schemas

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// Random schemas and random events of them. Schemas are led by the places of a codec, so that what
// is read and written is there in every form: absent, null, another type, inside of unions, arrays
// and maps.

// nestedProfile writes into records and arrays inside of others.
func nestedProfile() Profile {
	return Profile{Name: "nested",
		Paths: map[string]PathList{"anonymous_id": {"a", "p.e.0.user"}, "session_id": {"p.q.sid"},
			"timestamp": {"p.at"}},
		Write: []Write{{Path: "p.q.sid", Value: "id"}, {Path: "p.e.0.s.n", Value: "index"},
			{Path: "p.e.0.key", Copy: PathList{"p.e.0.key", "p.q.other", "a"}}},
		Remove: []string{"p.old", "p.r.old", "p.e.0.t.old"},
	}
}

type avroGenerator struct {
	*rand.Rand
	c     *Codec
	named int
}

func (g *avroGenerator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *avroGenerator) name(kind string) string {
	g.named++
	if g.chance(20) {
		return fmt.Sprintf("n%d.%s%d", g.IntN(2), kind, g.named)
	}
	return fmt.Sprintf("%s%d", kind, g.named)
}

func (g *avroGenerator) scalar() any {
	logical := func(typ, logical string) any {
		return map[string]any{"type": typ, "logicalType": logical}
	}
	switch g.IntN(18) {
	case 0:
		return "boolean"
	case 1:
		return "int"
	case 2, 3:
		return "long"
	case 4:
		return "float"
	case 5:
		return "double"
	case 6:
		return "bytes"
	case 7:
		return logical("long", "timestamp-millis")
	case 8:
		return logical("long", "timestamp-micros")
	case 9:
		return logical("int", "date")
	case 10:
		return logical("string", "uuid")
	case 11:
		return map[string]any{"type": "fixed", "name": g.name("F"), "size": 1 + g.IntN(20)}
	case 12:
		return map[string]any{"type": "fixed", "name": g.name("U"), "size": 16, "logicalType": "uuid"}
	case 13:
		return map[string]any{"type": "enum", "name": g.name("E"),
			"symbols": []any{"page", "LOCAL_STORAGE", "track"}}
	}
	return "string"
}

// typ is a random type for a place; -1: for none.
func (g *avroGenerator) typ(id, depth int) any {
	isInner := id >= 0 && g.c.trie[id].inner
	var t any
	switch {
	case isInner && g.c.trie[id].array && g.chance(85):
		items := g.record(g.kid(id, "0"), depth+1)
		if g.chance(30) {
			items = []any{"null", items}
		}
		t = map[string]any{"type": "array", "items": items}
	case isInner && g.chance(95), id >= 0 && len(g.c.trie[id].kids) > 0 && g.chance(60):
		t = g.record(id, depth+1)
	case depth < 4 && g.chance(10):
		t = map[string]any{"type": "array", "items": g.typ(g.kid(id, "0"), depth+1)}
	case depth < 4 && g.chance(15):
		t = map[string]any{"type": "map", "values": g.typ(-1, depth+1)}
	case depth < 3 && g.chance(10):
		t = g.record(id, depth+1)
	case g.chance(3) && depth > 0:
		return []any{"null", "int"}
	default:
		t = g.scalar()
	}
	if _, union := t.([]any); union || !g.chance(60) {
		return t
	}
	union := []any{"null", t}
	if g.chance(30) {
		union = []any{t, "null"}
	}
	if more := g.scalar(); g.chance(20) && kindText(more) != kindText(t) {
		union = append(union, more)
	}
	return union
}

func kindText(t any) string {
	if object, ok := t.(map[string]any); ok {
		return fmt.Sprint(object["type"])
	}
	return fmt.Sprint(t)
}

func (g *avroGenerator) kid(id int, name string) int {
	if id < 0 {
		return -1
	}
	if kid := g.c.trie[id].find(head(name), []byte(name)); kid > 0 {
		return kid
	}
	return -1
}

func (g *avroGenerator) record(id, depth int) any {
	var fields []any
	add := func(name string, t any) {
		f := map[string]any{"name": name, "type": t}
		if union, ok := t.([]any); ok && union[0] == "null" && g.chance(80) {
			f["default"] = nil
		} else if t == "string" && g.chance(20) {
			f["default"] = "d\u00fc"
		} else if t == "long" && g.chance(20) {
			f["default"] = -70
		}
		fields = append(fields, f)
	}
	if id >= 0 {
		for _, kid := range g.c.trie[id].kids {
			if name := g.c.trie[kid].name; isAvroName(name) && g.chance(60) {
				add(name, g.typ(kid, depth))
			}
		}
	}
	for i := range g.IntN(4) {
		add(fmt.Sprintf("x%d", i), g.typ(-1, depth+1))
	}
	if len(fields) == 0 {
		add("only", "int")
	}
	g.Shuffle(len(fields), func(i, k int) { fields[i], fields[k] = fields[k], fields[i] })
	return map[string]any{"type": "record", "name": g.name("R"), "doc": "<d>", "fields": fields}
}

// schema is a random schema of events.
func (g *avroGenerator) schema() string {
	text, err := json.Marshal(g.record(0, 0))
	if err != nil {
		panic(err)
	}
	return string(text)
}

var randomTexts = []string{"", "a", "null", "track", "page", uuidA, strings.ToUpper(uuidB),
	"@debug-1", "2024-12-15T11:08:25.123Z", "1734260905123", "https://x/?utm_source=a&gclid=%31",
	"\u00fc\"\\\n\u0001<", "https://example.com/a/rather/long/path?with=a&query=too",
	"LOCAL_STORAGE"}

// append appends a random value of a type.
func (g *avroGenerator) append(dst []byte, t *avroType) []byte {
	switch t.kind {
	case avroBoolean:
		return append(dst, byte(g.IntN(2)))
	case avroInt:
		return appendAvroLong(dst, int64(int32(g.Uint32())>>g.IntN(32)))
	case avroLong:
		if t.logical != "" || g.chance(30) {
			times := []int64{1734260905123, 1734260905123999, -1, 0, 1 << 62}
			return appendAvroLong(dst, times[g.IntN(len(times))])
		}
		return appendAvroLong(dst, int64(g.Uint64())>>g.IntN(64))
	case avroFloat:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(g.NormFloat64())))
	case avroDouble:
		f := []float64{g.NormFloat64(), 1734260905123, 1e300, math.NaN(), math.Inf(1), 0}[g.IntN(6)]
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
	case avroBytes, avroString:
		return appendSized(dst, randomTexts[g.IntN(len(randomTexts))])
	case avroFixed:
		for range t.size {
			dst = append(dst, byte(g.Uint32()))
		}
	case avroEnum:
		return appendAvroLong(dst, int64(g.IntN(len(t.symbols))))
	case avroUnion:
		index := g.IntN(len(t.branches))
		return g.append(appendAvroLong(dst, int64(index)), t.branches[index])
	case avroRecord:
		for i := range t.fields {
			dst = g.append(dst, t.fields[i].typ)
		}
	case avroArray, avroMap:
		return g.appendBlocks(dst, t)
	}
	return dst
}

// appendBlocks appends a random array or map, in blocks with and without their sizes.
func (g *avroGenerator) appendBlocks(dst []byte, t *avroType) []byte {
	key := 0
	for range g.IntN(3) {
		count := 1 + g.IntN(3)
		var block []byte
		for range count {
			if t.kind == avroMap {
				names := []string{"source", "utm_medium", "gclid", "url", "name", "id", "é"}
				block = appendSized(block, names[key%len(names)]+strings.Repeat("'", key/len(names)))
				key++
			}
			block = g.append(block, t.items)
		}
		if g.chance(40) {
			dst = appendAvroLong(appendAvroLong(dst, int64(-count)), int64(len(block)))
		} else {
			dst = appendAvroLong(dst, int64(count))
		}
		dst = append(dst, block...)
	}
	return append(dst, 0)
}
