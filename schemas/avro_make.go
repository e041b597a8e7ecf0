package schemas

// make returns what is written at a place of which the input has nothing, and its type: null beside
// what it is.
func (k *avroCompiler) make(id int) (avroWrite, *avroType, error) {
	e, at := &k.c.edges[id], k.c.trie.path(id)
	var v avroValue
	switch {
	case e.copies != nil:
		v = avroValue{wants: e.fields, other: e.other, copy: e, typ: &avroType{kind: avroString}}
		v.holds = func(t *avroType) avroEnc { return copyHolds(t, e, id) }
	case e.isObject():
		w, t, err := k.makeObject(e, at)
		return orNull(w), nullable(t), err
	case len(e.members) > 0:
		v = k.valueOf(e.members[0].field, e.fields, e.other, "")
	default:
		w, t, err := k.makeContainer(id)
		return orNull(w), nullable(t), err
	}
	t := nullable(v.typ)
	w, err := v.write(t, 1, at)
	return w, t, err
}

// orNull makes a write one of a type beside null.
func orNull(w avroWrite) avroWrite {
	if w.always {
		w.always = false
	}
	w.null, w.head = zigzag(0), append(zigzag(1), w.head...)
	return w
}

// makeObject returns what is written of an object of fields, and its type.
func (k *avroCompiler) makeObject(e *edge, at string) (avroWrite, *avroType, error) {
	w := avroWrite{wants: e.fields, enc: encRecord}
	t := &avroType{kind: avroRecord, name: avroSpaceOwn + ".Session",
		props: map[string]any{"type": "record", "doc": docSession}}
	for i := range e.members {
		part, field, err := k.makeMember(&e.members[i], at)
		if err != nil {
			return w, t, err
		}
		w.parts = append(w.parts, part)
		t.fields = append(t.fields, field)
	}
	return w, t, nil
}

// makeMember returns what is written of a member of an object, and its field.
func (k *avroCompiler) makeMember(m *member, at string) (avroWrite, avroField, error) {
	name := m.name()
	if !isAvroName(name) {
		return avroWrite{}, avroField{}, unfit(inside(at, name), "Avro has no such names: want a "+
			"profile of your own that names the member otherwise")
	}
	v := k.valueOf(m.field, 1<<m.field, "", "")
	t := nullable(v.typ)
	w, err := v.write(t, 1, at)
	return w, newAvroField(name, t, fieldDocs[m.field]), err
}

// makeContainer returns what is written of a record, or an array with one, that session members
// belong into, and its type.
func (k *avroCompiler) makeContainer(id int) (avroWrite, *avroType, error) {
	w := avroWrite{wants: k.c.wants[id], enc: encRecord}
	if k.c.trie[id].array {
		element, t, err := k.makeContainer(k.element(id, 0))
		element.head = append(zigzag(1), element.head...)
		element.tail = append(element.tail, 0)
		return element, &avroType{kind: avroArray, items: t}, err
	}
	t := &avroType{kind: avroRecord, name: k.nameOf(id), props: map[string]any{"type": "record",
		"doc": docContainer}}
	for _, kid := range k.c.writes[id] {
		name := k.c.trie[kid].name
		if !isAvroName(name) {
			return w, t, unfit(k.c.trie.path(kid), "Avro has no such names: want a profile of your "+
				"own that writes elsewhere")
		}
		part, typ, err := k.make(kid)
		if err != nil {
			return w, t, err
		}
		w.parts = append(w.parts, part)
		t.fields = append(t.fields, newAvroField(name, typ, k.docOf(kid)))
	}
	return w, t, nil
}

// nameOf is the name of a record that is made at a place: that of the place, or of the array which
// it is an element of.
func (k *avroCompiler) nameOf(id int) string {
	for k.c.trie[id].parent > 0 && !isAvroName(k.c.trie[id].name) {
		id = k.c.trie[id].parent
	}
	return avroSpaceOwn + "." + k.c.trie[id].name
}

// docOf is the documentation of the field at a place.
func (k *avroCompiler) docOf(id int) string {
	e := &k.c.edges[id]
	switch {
	case e.copies != nil:
		return docCopy
	case e.isObject():
		return docSession
	case len(e.members) > 0:
		return fieldDocs[e.members[0].field]
	}
	return docContainer
}
