package schemas

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sessionizer/session"
)

// visitForm is what a profile has a say in of the records about visits: how they begin and the
// members it adds behind all others.
type visitForm struct {
	started, ended visitHead
	members        []visitPiece

	isAvro, isFramed bool
	schemaID         uint32 // of the frame
}

// visitHead is how a record about a visit begins.
type visitHead struct {
	text  string     // of JSON: `{"type":"...","event":"..."`
	names VisitNames // of Avro
}

// visitPiece is text, and the value of a field behind it.
type visitPiece struct {
	text  string
	field visitField
}

// visitField is a value that profiles may add to the records about visits.
type visitField uint8

const (
	visitAnonymousID visitField = iota
	visitID
	visitUUID
	visitIndex
	visitNothing // of the piece that closes what is open

	visitFieldCount = visitNothing
)

var visitFieldNames = [visitFieldCount]string{"anonymousId", "id", "uuid", "index"}

// visitFormOf reads the form of the records about visits.
func visitFormOf(v Visits) (visitForm, error) {
	f := visitForm{started: visitHeadOf(v.Started, "Visit Started"),
		ended: visitHeadOf(v.Ended, "Visit Ended")}
	root := &trieBuilder{}
	fields := map[*trieBuilder]visitField{}
	var faults []error
	for _, path := range slices.Sorted(maps.Keys(v.Members)) {
		b, err := root.add(path)
		if err == nil {
			err = checkVisitPath(path)
		}
		i := slices.Index(visitFieldNames[:], v.Members[path])
		if err == nil && i < 0 {
			err = fmt.Errorf("field %q: want one of %s", v.Members[path],
				strings.Join(visitFieldNames[:], ", "))
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("visits.members.%s: %w", path, err))
			continue
		}
		fields[b] = visitField(i)
	}
	for b := range fields {
		if len(b.kids) > 0 {
			faults = append(faults, &profileError{"", "visits.members", b.path,
				b.path + ": lies around another"})
		}
	}
	if len(faults) > 0 || len(fields) == 0 {
		return f, errors.Join(faults...)
	}
	text := f.addMembers("", root, fields)
	f.members = append(f.members, visitPiece{text, visitNothing})
	return f, nil
}

// addMembers adds the members below b, and returns the text that is to be written behind them.
func (f *visitForm) addMembers(text string, b *trieBuilder, fields map[*trieBuilder]visitField,
) string {
	for i, k := range b.kids {
		if i > 0 || b.name == "" {
			text += ","
		}
		text += string(appendText(nil, k.name)) + ":"
		if len(k.kids) > 0 {
			text = f.addMembers(text+"{", k, fields) + "}"
			continue
		}
		f.members = append(f.members, visitPiece{text, fields[k]})
		text = ""
	}
	return text
}

func visitHeadOf(names VisitNames, event string) visitHead {
	if names.Type == "" {
		names.Type = "track"
	}
	if names.Event == "" {
		names.Event = event
	}
	head := appendText([]byte(`{"type":`), names.Type)
	head = appendText(append(head, `,"event":`...), names.Event)
	return visitHead{text: string(head), names: names}
}

// append appends the members that the profile adds.
func (f *visitForm) append(dst, anonymousID []byte, s *session.Session) []byte {
	for i := range f.members {
		dst = append(dst, f.members[i].text...)
		switch f.members[i].field {
		case visitAnonymousID:
			dst = appendText(dst, anonymousID)
		case visitID:
			dst = appendID(dst, s.ID)
		case visitUUID:
			dst = appendUUIDText(dst, &s.UUID)
		case visitIndex:
			dst = appendIntMember(dst, "", s.Index)
		}
	}
	return dst
}

// checkVisitPath refuses paths into members that all records about visits have.
func checkVisitPath(path string) error {
	names, err := splitPath(path)
	if err != nil {
		return err
	}
	switch names[0] {
	case "type", "event", "messageId", "anonymousId", "userId", "firstUserId", "source", "session",
		"reason", "revision", "mergedInto", "startedAt", "endedAt", "durationMs", "activeMs",
		"timeoutMs", "amendableUntil", "counts", "foregroundIndex", "backgroundIndex",
		"firstEventId", "lastEventId", "entry", "exit", "campaign", "referrer", "context", "origin":
		return fmt.Errorf("%s is a member of every record", names[0])
	}
	return nil
}
