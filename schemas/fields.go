package schemas

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sessionizer/session"
)

// field is what a stamp may say in an event, in the order it is written.
type field uint8

const (
	fieldID field = iota
	fieldStart
	fieldUUID
	fieldIndex
	fieldEventIndex
	fieldPreviousID
	fieldStartedAt
	fieldReason
	fieldGapMs
	fieldClamped
	fieldDuplicate
	fieldTimeoutMs
	fieldIDSource
	fieldClientID
	fieldLate
	fieldState
	fieldCampaign

	fieldsPublic // those from here on are none of output.fields

	fieldFirstEventID = fieldsPublic // for profiles whose format has it
	fieldInSession    = iota         // no field: the event has a session

	fieldCount
)

// fieldNames has the fields of output.fields and behind them those that only profiles may name.
var fieldNames = [fieldInSession]string{
	"id", "start", "uuid", "index", "eventIndex", "previousId", "startedAt", "reason", "gapMs",
	"clamped", "duplicate", "timeoutMs", "idSource", "clientId", "late", "state", "campaign",
	"firstEventId",
}

// fieldSet has a bit for each field.
type fieldSet uint32

const (
	fieldsMinimal  = 1<<fieldID | 1<<fieldStart
	fieldsStandard = fieldsMinimal | 1<<fieldUUID | 1<<fieldIndex | 1<<fieldEventIndex |
		1<<fieldPreviousID | 1<<fieldStartedAt
	fieldsFull = 1<<fieldsPublic - 1

	// fieldCopies is the first of copiesMax bits, one for each value that is copied.
	fieldCopies fieldSet = 1 << fieldCount
	copiesMax            = 32 - fieldCount
)

func (s fieldSet) has(f field) bool { return s>>f&1 != 0 }

// parseField returns the field of that name, which must be one of the names.
func parseField(name string, names []string) (field, error) {
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("field %q: want one of %s", name, strings.Join(names, ", "))
	}
	return field(i), nil
}

// parseFields reads output.fields: minimal, standard, full, or a list of fields.
func parseFields(names []string) (fieldSet, error) {
	if len(names) == 0 {
		return fieldsStandard, nil
	}
	if len(names) == 1 {
		switch names[0] {
		case "minimal":
			return fieldsMinimal, nil
		case "standard":
			return fieldsStandard, nil
		case "full":
			return fieldsFull, nil
		}
	}
	var set fieldSet
	for _, name := range names {
		f, err := parseField(name, fieldNames[:fieldsPublic])
		if err != nil {
			return 0, fmt.Errorf("%w; or minimal, standard or full alone", err)
		}
		if set.has(f) {
			return 0, fmt.Errorf("field %s: twice", name)
		}
		set |= 1 << f
	}
	return set, nil
}

// fieldsOf returns the fields that the stamp has something to say for.
func fieldsOf(st *session.Stamp) fieldSet {
	var set fieldSet
	if st.Clamped {
		set |= 1 << fieldClamped
	}
	if st.Duplicate {
		set |= 1 << fieldDuplicate
	}
	switch st.Status {
	case session.InSession:
	case session.TooLate, session.Unattached:
		return set | 1<<fieldState
	default:
		return 0
	}
	set |= 1<<fieldID | 1<<fieldUUID | 1<<fieldIndex | 1<<fieldStartedAt |
		1<<fieldTimeoutMs | 1<<fieldIDSource | 1<<fieldInSession
	if st.Start {
		set |= 1 << fieldStart
	} else {
		set |= 1 << fieldGapMs
	}
	if st.EventIndex != 0 {
		set |= 1 << fieldEventIndex
	}
	if !st.Previous.IsZero() {
		set |= 1 << fieldPreviousID
	}
	if st.Reason != session.ReasonNone {
		set |= 1 << fieldReason
	}
	if !st.Client.IsZero() {
		set |= 1 << fieldClientID
	}
	if st.Late {
		set |= 1 << fieldLate
	}
	if len(st.Campaign) > 0 {
		set |= 1 << fieldCampaign
	}
	if len(st.FirstEvent) > 0 {
		set |= 1 << fieldFirstEventID
	}
	return set
}

// appendField appends the value of a field that the stamp has.
func appendField(dst []byte, f field, st *session.Stamp) []byte {
	switch f {
	case fieldID:
		return appendID(dst, st.ID)
	case fieldUUID:
		return appendUUIDText(dst, &st.UUID)
	case fieldIndex:
		return strconv.AppendUint(dst, uint64(st.Index), 10)
	case fieldEventIndex:
		return strconv.AppendUint(dst, st.EventIndex, 10)
	case fieldPreviousID:
		return appendID(dst, st.Previous)
	case fieldStartedAt:
		return appendTimeText(dst, st.StartedAt)
	case fieldReason:
		return appendText(dst, st.Reason.String())
	case fieldGapMs:
		return strconv.AppendInt(dst, int64(st.GapMs), 10)
	case fieldTimeoutMs:
		return strconv.AppendInt(dst, int64(st.TimeoutMs), 10)
	case fieldIDSource:
		if st.Server {
			return append(dst, `"server"`...)
		}
		return append(dst, `"client"`...)
	case fieldClientID:
		return appendID(dst, st.Client)
	case fieldState:
		return appendText(dst, st.Status.String())
	case fieldCampaign:
		return append(dst, st.Campaign...) // it is JSON
	case fieldFirstEventID:
		return appendText(dst, st.FirstEvent)
	default: // start, clamped, duplicate, late: there only when true
		return append(dst, "true"...)
	}
}

// appendID appends an id as it is written: a number, or a text where the id has one.
func appendID(dst []byte, id session.ID) []byte {
	if len(id.Text) > 0 {
		return appendText(dst, id.Text)
	}
	return appendInt(dst, id.Int)
}

// putUUID writes a UUID as a string, and returns its length.
func putUUID(b *[uuidCharacters + 2]byte, u *[16]byte) int {
	b[0], b[len(b)-1] = '"', '"'
	session.AppendUUID(b[1:1], *u)
	return len(b)
}

func appendUUIDText(dst []byte, u *[16]byte) []byte {
	dst = append(dst, '"')
	dst = session.AppendUUID(dst, *u)
	return append(dst, '"')
}
