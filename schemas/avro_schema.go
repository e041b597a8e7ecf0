package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/linkedin/goavro/v2"
)

// Limits of a schema. They hold ahead of goavro too, which bounds neither.
const (
	avroSchemaBytesMax  = 1 << 20
	avroSchemaDepthMax  = 256    // of the JSON text
	avroPlacesMax       = 10_000 // fields, items, branches, each as often as an event may hold it
	avroBlockItemsMax   = 1 << 20
	avroBlockBytesMax   = recordBytesMax
	avroFixedBytesMax   = recordBytesMax
	avroUnionBranchsMax = 64 // an index is one byte
)

// goavro allocates for what a block claims to hold: these bound it, wherever it is used. They are
// set before main, because goavro reads them without a lock.
var _ = boundGoavro()

func boundGoavro() bool {
	goavro.MaxBlockCount, goavro.MaxBlockSize = avroBlockItemsMax, avroBlockBytesMax
	return true
}

// avroKind is what a type of Avro is.
type avroKind uint8

const (
	avroNull avroKind = iota
	avroBoolean
	avroInt
	avroLong
	avroFloat
	avroDouble
	avroBytes
	avroString
	avroFixed
	avroEnum
	avroRecord
	avroArray
	avroMap
	avroUnion

	avroKinds
)

var avroKindNames = [avroKinds]string{"null", "boolean", "int", "long", "float", "double", "bytes",
	"string", "fixed", "enum", "record", "array", "map", "union"}

func (k avroKind) String() string { return avroKindNames[k] }

// article is its name as one of them.
func (k avroKind) article() string {
	if k == avroArray {
		return "an array"
	}
	return "a " + k.String()
}

// isNamed reports whether types of the kind have a name.
func (k avroKind) isNamed() bool { return k == avroFixed || k == avroEnum || k == avroRecord }

// avroType is a type of a schema. It does not change. A type with a name is one avroType, however
// often it is referred to.
type avroType struct {
	kind    avroKind
	logical string // one that fits the kind

	name     string // the full one
	size     int    // of a fixed
	symbols  []string
	fields   []avroField
	items    *avroType   // of an array; of a map its values
	branches []*avroType // of a union

	props map[string]any // all that the schema says of it, numbers as json.Number

	places int // it and all below it, up to beyond avroPlacesMax
	width  int // bytes it takes at least, up to 1
	depth  int // records, arrays and maps open at once
}

type avroField struct {
	name  string
	typ   *avroType
	props map[string]any
}

// nullBranch returns the index of null in a union; -1: there is none.
func (t *avroType) nullBranch() int {
	return slices.IndexFunc(t.branches, func(b *avroType) bool { return b.kind == avroNull })
}

// parseAvro reads a schema. What goavro refuses is refused with its reason.
func parseAvro(text string, depthMax int) (*avroType, error) {
	if len(text) > avroSchemaBytesMax {
		return nil, unfit("", "%d bytes, at most %d", len(text), avroSchemaBytesMax)
	}
	check := checker{depthMax: avroSchemaDepthMax}
	if i := check.value([]byte(text), past([]byte(text), 0), 0); i < 0 {
		return nil, unfit("", "%s at byte %d of its JSON", check.fault, check.at)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var schema any
	if err := d.Decode(&schema); err != nil {
		return nil, unfit("", "read its JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, unfit("", "data behind its JSON")
	}
	p := avroParser{named: map[string]*avroType{}, depthMax: depthMax}
	t, err := p.parse(schema, "", "")
	if err != nil {
		return nil, err
	}
	return t, validateAvro(schema)
}

// validateAvro has goavro judge a schema. Of what it makes of logical types we need nothing, and
// with some it panics: a second decimal without a scale, a pattern that is no text.
func validateAvro(schema any) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = unfit("", "goavro cannot read it: %v", fault)
		}
	}()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(withoutPanics(schema)); err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	if _, err := goavro.NewCodec(text.String()); err != nil {
		// It repeats all of an enum, or of a default.
		const reasonBytesMax = 400
		why := err.Error()
		if len(why) > reasonBytesMax {
			why = strings.ToValidUTF8(why[:reasonBytesMax], "") + " ..."
		}
		return unfit("", "%s", why)
	}
	return nil
}

// withoutPanics returns the schema without the logical types that goavro panics with.
func withoutPanics(schema any) any {
	switch v := schema.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = withoutPanics(v[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, value := range v {
			switch name {
			case "logicalType":
				if value == "decimal" || value == "validated-string" {
					continue
				}
			case "type", "items", "values", "fields":
				value = withoutPanics(value)
			}
			object[name] = value
		}
		return object
	}
	return schema
}
