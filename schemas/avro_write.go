package schemas

import (
	"encoding/json"
	"slices"
	"strings"

	"sessionizer/session"
)

// avroWrite is a value that a splice writes, or null in its place.
type avroWrite struct {
	wants  fieldSet // it is written if one of them is
	always bool     // it is written in any case: it cannot be null
	null   []byte
	head   []byte // in front of the value: the index of its branch, the count of an array's block
	tail   []byte // behind it: the end of an array

	enc   avroEnc
	parts []avroWrite // encRecord: the fields
	field field
	copy  *edge  // encText: the value is copied as this says
	item  []byte // of a map: in front of each value
	other []byte // with its head: written in a session where the field has nothing to say
}

// avroEnc is how a value is encoded.
type avroEnc uint8

const (
	encNone avroEnc = iota // it is never written
	encRecord
	encLong
	encInt // the greatest one for what is greater
	encMicros
	encBoolean
	encText
	encUUID // 16 bytes
	encMap  // of texts
)

// avroAction is what a splice does with an edit.
type avroAction struct {
	kind  avroActionKind
	write avroWrite   // actValue, actMake, actEmpty
	parts []avroWrite // actEnd
	// actValue: what stands in front of a value that is kept, by the branch that it has in the
	// input; nil: it cannot be kept. No heads: it stays as it is.
	heads   [][]byte
	isUnion bool // the input's type is a union
	// A value that is not written stays as it is, and is not null: it says whose a session is.
	stays bool

	kept bool // the element is a later one: what is there stays
	held bool // a member is around that is ours: only where that is kept this has to be done
}

type avroActionKind uint8

const (
	actValue avroActionKind = iota // a value that is ours
	actMake                        // a null where something of ours belongs, or may be made
	actEnd                         // the end of a record that lacks fields of ours
	actBlock                       // the count of an array's block, with its size
	actEmpty                       // the end of an array without elements
)

// zigzag returns the varint of a number.
func zigzag(n int) []byte { return appendAvroLong(nil, int64(n)) }

// nullable is T beside null.
func nullable(t *avroType) *avroType {
	return &avroType{kind: avroUnion, branches: []*avroType{{kind: avroNull}, t}}
}

// avroTypeOf returns the type of a field that the input has none for.
func (c *Codec) avroTypeOf(f field) *avroType {
	switch f {
	case fieldID, fieldPreviousID, fieldClientID:
		if c.idType == session.IDInt64 {
			return &avroType{kind: avroLong}
		}
	case fieldStart, fieldClamped, fieldDuplicate, fieldLate:
		return &avroType{kind: avroBoolean}
	case fieldIndex, fieldEventIndex, fieldGapMs, fieldTimeoutMs:
		return &avroType{kind: avroLong}
	case fieldStartedAt:
		return &avroType{kind: avroLong, logical: "timestamp-millis",
			props: map[string]any{"type": "long", "logicalType": "timestamp-millis"}}
	case fieldCampaign:
		return &avroType{kind: avroMap, items: &avroType{kind: avroString}}
	}
	return &avroType{kind: avroString}
}

// holds says how a type holds a field; encNone: it does not.
func (c *Codec) holds(t *avroType, f field) avroEnc {
	isText := t.kind == avroString && (t.logical == "" || c.isUUID(f))
	switch f {
	case fieldID, fieldPreviousID, fieldClientID:
		if c.idType == session.IDInt64 {
			return encIf(t.kind == avroLong && t.logical == "", encLong)
		}
	case fieldStart, fieldClamped, fieldDuplicate, fieldLate:
		return encIf(t.kind == avroBoolean, encBoolean)
	case fieldIndex, fieldEventIndex:
		if t.kind == avroInt && t.logical == "" {
			return encInt
		}
		return encIf(t.kind == avroLong && t.logical == "", encLong)
	case fieldGapMs, fieldTimeoutMs:
		return encIf(t.kind == avroLong && t.logical == "", encLong)
	case fieldStartedAt:
		if t.kind == avroLong && t.logical == "timestamp-micros" {
			return encMicros
		}
		if t.kind == avroLong && (t.logical == "" || t.logical == "timestamp-millis") {
			return encLong
		}
	case fieldCampaign:
		return holdsTexts(t)
	}
	if t.kind == avroFixed && t.logical == "uuid" && c.isUUID(f) {
		return encUUID
	}
	return encIf(isText, encText)
}

func encIf(ok bool, enc avroEnc) avroEnc {
	if ok {
		return enc
	}
	return encNone
}

// isUUID reports whether the texts of a field are UUIDs.
func (c *Codec) isUUID(f field) bool {
	switch f {
	case fieldUUID:
		return true
	case fieldID, fieldPreviousID, fieldClientID:
		return c.idType == session.IDUUID
	}
	return false
}

// holdsTexts says how a map holds texts.
func holdsTexts(t *avroType) avroEnc {
	if t.kind != avroMap {
		return encNone
	}
	if t.items.kind == avroString && t.items.logical == "" {
		return encMap
	}
	return encIf(textBranch(t.items) >= 0, encMap)
}

// textBranch returns the index of a union's plain string; -1: there is none.
func textBranch(t *avroType) int {
	return slices.IndexFunc(t.branches, func(b *avroType) bool {
		return b.kind == avroString && b.logical == ""
	})
}

// copyHolds says how a type holds what an edge copies. An enum holds its own symbols.
func copyHolds(t *avroType, e *edge, own int) avroEnc {
	if t.kind == avroEnum && len(e.copies) == 1 && e.copies[0] == own {
		var text string
		err := json.Unmarshal([]byte(e.other), &text)
		return encIf(e.other == "" || err == nil && slices.Contains(t.symbols, text), encText)
	}
	return encIf(t.kind == avroString, encText)
}

// otherBytes encodes the JSON scalar that an edge writes where it has nothing else. index is the
// branch of the value in the type, -1: it is no union.
func otherBytes(text string, t *avroType, index int) ([]byte, bool) {
	if text == "" {
		return nil, true
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, false
	}
	if value == nil {
		if null := t.nullBranch(); null >= 0 {
			return zigzag(null), true
		}
		return nil, false
	}
	var head []byte
	if index >= 0 {
		head, t = zigzag(index), t.branches[index]
	}
	encoded, ok := appendDefault(head, t, value)
	return encoded, ok && t.kind != avroBytes && t.kind != avroFixed
}
