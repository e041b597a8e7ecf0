package schemas

import (
	"bytes"
	"encoding/binary"

	"sessionizer/session"
)

// VisitFacts reads back from a record about a visit, as it was written here without a frame, its
// revision up to 2 (0: it is a Visit Started) and whether the session was merged.
func VisitFacts(record []byte, f Format) (revision int, isMerged bool) {
	if f == FormatAvro {
		return visitFactsAvro(record)
	}
	// The members are looked for as they are written, without white space; inside of a text they
	// could not stand with their quotes unescaped.
	switch {
	case bytes.Contains(record, []byte(`,"revision":0,`)):
	case bytes.Contains(record, []byte(`,"revision":1,`)):
		revision = 1
	default:
		revision = 2
	}
	return revision, bytes.Contains(record, []byte(`,"reason":"`+session.ReasonMerged.String()+`",`))
}

// visitFactsAvro walks over the first fields of visit.avsc.
func visitFactsAvro(b []byte) (revision int, isMerged bool) {
	long := func() int64 {
		n, width := binary.Varint(b)
		b = b[width:]
		return n
	}
	text := func() []byte {
		n := long()
		whole := b[:n]
		b = b[n:]
		return whole
	}
	id := func(branches int64) { // a long, or a text where the index is the next one
		switch index := long() - branches; index {
		case 0:
			long()
		case 1:
			text()
		}
	}
	text() // type
	text() // event
	text() // messageId
	text() // anonymousId
	for range [...]string{"userId", "firstUserId", "source"} {
		if long() == 1 {
			text()
		}
	}
	id(0)
	text() // uuid
	long() // index
	id(1)  // previousId
	isMerged = string(text()) == session.ReasonMerged.String()
	return int(min(long(), 2)), isMerged
}
