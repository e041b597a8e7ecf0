package schemas

import (
	"math"

	"sessionizer/session"
)

// avroSplice is the work of one AppendStamped of an event that is Avro.
type avroSplice struct {
	splice // its value is the view

	sc   *Scanned
	b    []byte // the event
	from int32  // the event is dealt with up to here
	kept bool   // the session members stay as they are: only the schema changes
}

// appendAvro is AppendStamped for Avro.
func (c *Codec) appendAvro(dst, value []byte, sc *Scanned, st *session.Stamp) []byte {
	a := &sc.avro
	// What passes untouched keeps its schema, where the frame says which one that is.
	if st.Status == session.Bypass && a.begin > 0 {
		return append(dst, value...)
	}
	sp := avroSplice{sc: sc, b: value, from: int32(a.begin), kept: st.Status == session.Bypass,
		splice: splice{c: c, value: a.view, st: st, set: fieldsOf(st) & c.fields,
			slots: sc.reader.slots}}
	if len(c.copies) > 0 {
		sp.copyAll()
		sp.leaveSame()
	}
	if a.begin > 0 {
		dst = appendFrame(dst, a.output)
	}
	for i := range a.walker.edits {
		e := &a.walker.edits[i]
		action := &a.program.actions[e.action]
		kept := sp.kept || action.kept
		if action.held && !kept {
			continue
		}
		dst = sp.apply(dst, e, action, kept)
	}
	return append(dst, value[sp.from:]...)
}

// leaveSame finds the copies that say what is there already: they keep the type that this has.
func (sp *avroSplice) leaveSame() {
	for i, id := range sp.c.copies {
		from, to := sp.source(&sp.c.edges[id]), &sp.slots[id]
		if from != nil && isScalarFirst(to.first) &&
			string(sp.copied(from)) == string(sp.copied(to)) {
			sp.set &^= fieldCopies << i
		}
	}
}

// isScalarFirst reports whether a value is a text, a number or a boolean.
func isScalarFirst(first byte) bool {
	return first == '"' || first == 't' || first == 'f' || isNumberFirst(first)
}

// upTo appends the event up to an offset.
func (sp *avroSplice) upTo(dst []byte, at int32) []byte {
	dst = append(dst, sp.b[sp.from:at]...)
	sp.from = at
	return dst
}

// apply does what an action says with an edit.
func (sp *avroSplice) apply(dst []byte, e *avroEdit, action *avroAction, kept bool) []byte {
	w := &action.write
	switch action.kind {
	case actValue:
		if !kept && (w.wants&sp.set != 0 || !action.stays) {
			dst = sp.appendWrite(sp.upTo(dst, e.start), w)
			sp.from = e.end
			return dst
		}
		return sp.keep(dst, e, action)
	case actEnd:
		dst = sp.upTo(dst, e.start)
		for i := range action.parts {
			dst = sp.appendOrNull(dst, &action.parts[i], kept)
		}
		return dst
	case actBlock:
		count := avroNumber(sp.b[e.start:e.end])
		dst = appendAvroLong(sp.upTo(dst, e.start), -count)
	default: // actMake, actEmpty
		dst = sp.appendOrNull(sp.upTo(dst, e.start), w, kept)
	}
	sp.from = e.end
	return dst
}

// keep has a value stay what it is in the type of the output; one that this has no branch for
// becomes null.
func (sp *avroSplice) keep(dst []byte, e *avroEdit, action *avroAction) []byte {
	if action.heads == nil {
		return dst
	}
	index, value := int64(0), sp.b[e.start:e.end]
	if action.isUnion {
		index, value = avroVarint(value)
	}
	dst = sp.upTo(dst, e.start)
	if head := action.heads[min(int(index), len(action.heads)-1)]; head != nil {
		sp.from = e.end - int32(len(value))
		return append(dst, head...)
	}
	sp.from = e.end
	return append(dst, action.write.null...)
}

func (sp *avroSplice) appendOrNull(dst []byte, w *avroWrite, kept bool) []byte {
	if kept {
		return append(dst, w.null...)
	}
	return sp.appendWrite(dst, w)
}

// appendWrite appends a value, or null where there is none.
func (sp *avroSplice) appendWrite(dst []byte, w *avroWrite) []byte {
	if w.wants&sp.set == 0 && !w.always {
		return append(dst, w.null...)
	}
	if w.enc == encRecord {
		dst = append(dst, w.head...)
		for i := range w.parts {
			dst = sp.appendWrite(dst, &w.parts[i])
		}
		return append(dst, w.tail...)
	}
	if w.copy != nil {
		s := sp.source(w.copy)
		if s == nil {
			return append(dst, w.other...)
		}
		return appendSized(append(dst, w.head...), sp.copied(s))
	}
	if !sp.set.has(w.field) {
		return append(dst, w.other...)
	}
	dst = append(dst, w.head...)
	switch w.enc {
	case encBoolean:
		return append(dst, 1) // they are there only when true
	case encLong:
		return appendAvroLong(dst, fieldInt(w.field, sp.st))
	case encInt:
		return appendAvroLong(dst, min(fieldInt(w.field, sp.st), math.MaxInt32))
	case encMicros:
		return appendAvroLong(dst, fieldInt(w.field, sp.st)*1000)
	case encMap:
		return sp.sc.appendTexts(dst, sp.st.Campaign, w.item)
	}
	return sp.appendFieldText(dst, w)
}

// copied is the text of a scalar.
func (sp *avroSplice) copied(s *slot) []byte {
	if s.first == '"' {
		return sp.value[s.start+1 : s.end-1]
	}
	return sp.value[s.start:s.end]
}

// appendSized appends a text that is known to be UTF-8, and its length in front.
func appendSized[T string | []byte](dst []byte, text T) []byte {
	return append(appendAvroLong(dst, int64(len(text))), text...)
}

// fieldInt is the value of a field that is a number.
func fieldInt(f field, st *session.Stamp) int64 {
	switch f {
	case fieldID:
		return st.ID.Int
	case fieldPreviousID:
		return st.Previous.Int
	case fieldClientID:
		return st.Client.Int
	case fieldIndex:
		return int64(st.Index)
	case fieldEventIndex:
		return int64(st.EventIndex)
	case fieldGapMs:
		return int64(st.GapMs)
	case fieldTimeoutMs:
		return int64(st.TimeoutMs)
	default: // fieldStartedAt
		return int64(st.StartedAt)
	}
}

// appendFieldText appends a field that is a text, or the 16 bytes of a UUID.
func (sp *avroSplice) appendFieldText(dst []byte, w *avroWrite) []byte {
	st := sp.st
	var room [textRoom]byte
	var text []byte
	switch w.field {
	case fieldID:
		text = idText(room[:0], st.ID)
	case fieldPreviousID:
		text = idText(room[:0], st.Previous)
	case fieldClientID:
		text = idText(room[:0], st.Client)
	case fieldUUID:
		if w.enc == encUUID {
			return append(dst, st.UUID[:]...)
		}
		text = session.AppendUUID(room[:0], st.UUID)
	case fieldStartedAt:
		text = appendTimeText(room[:0], st.StartedAt)
		text = text[1 : len(text)-1]
	case fieldFirstEventID:
		text = st.FirstEvent
	case fieldReason:
		return appendSized(dst, st.Reason.String())
	case fieldState:
		return appendSized(dst, st.Status.String())
	default: // fieldIDSource
		if st.Server {
			return appendSized(dst, "server")
		}
		return appendSized(dst, "client")
	}
	if w.enc == encUUID {
		return appendHex(dst, text)
	}
	return appendSized(dst, text)
}

// idText is an id as a text: the one it has, or its number.
func idText(room []byte, id session.ID) []byte {
	if len(id.Text) > 0 {
		return id.Text
	}
	return appendInt(room, id.Int)
}

// appendHex appends the bytes of a UUID's text.
func appendHex(dst, text []byte) []byte {
	n := 0
	for _, ch := range text {
		if ch == '-' {
			continue
		}
		if n++; n&1 == 1 {
			dst = append(dst, hexValues[ch]<<4)
		} else {
			dst[len(dst)-1] |= hexValues[ch] & 0xf
		}
	}
	return dst
}

// appendTexts appends a map of the members of a JSON object that we made: all are texts, and there
// are at most campaignMembersMax, so their count is one byte.
func (sc *Scanned) appendTexts(dst, object, item []byte) []byte {
	check := checker{}
	count := len(dst)
	dst = append(dst, 0)
	for i := 1; object[i-1] != '}'; i++ { // over the brace, or a comma
		key, colon := i+1, check.text(object, i+1)
		i = check.text(object, colon+2)
		dst = sc.appendUnquoted(dst, object[key:colon-1])
		dst = append(dst, item...)
		dst = sc.appendUnquoted(dst, object[colon+2:i-1])
		dst[count] += 2
	}
	return append(dst, 0)
}

// appendUnquoted appends a string's content with its escapes decoded, and its length in front.
func (sc *Scanned) appendUnquoted(dst, content []byte) []byte {
	n := len(sc.scratch)
	sc.scratch = unquote(sc.scratch, content)
	dst = appendSized(dst, sc.scratch[n:])
	sc.scratch = sc.scratch[:n]
	return dst
}
