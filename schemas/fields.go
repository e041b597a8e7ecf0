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

	fieldCount
)

var fieldNames = [fieldCount]string{
	"id", "start", "uuid", "index", "eventIndex", "previousId", "startedAt", "reason", "gapMs",
	"clamped", "duplicate", "timeoutMs", "idSource", "clientId", "late", "state",
}

// fieldSet has a bit for each field.
type fieldSet uint32

const (
	fieldsMinimal  = 1<<fieldID | 1<<fieldStart
	fieldsStandard = fieldsMinimal | 1<<fieldUUID | 1<<fieldIndex | 1<<fieldEventIndex |
		1<<fieldPreviousID | 1<<fieldStartedAt
	fieldsFull = 1<<fieldCount - 1
)

func (s fieldSet) has(f field) bool { return s>>f&1 != 0 }

func parseField(name string) (field, error) {
	i := slices.Index(fieldNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("field %q: want one of %s", name, strings.Join(fieldNames[:], ", "))
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
		f, err := parseField(name)
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
		1<<fieldTimeoutMs | 1<<fieldIDSource
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
	default: // start, clamped, duplicate, late: there only when true
		return append(dst, "true"...)
	}
}

// appendID appends an id as it is written: a number, or a text where the id has one.
func appendID(dst []byte, id session.ID) []byte {
	if len(id.Text) > 0 {
		return appendText(dst, id.Text)
	}
	return strconv.AppendInt(dst, id.Int, 10)
}

// uuidDigits is where each byte of a UUID stands in its text.
var uuidDigits = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// appendUUID appends the 36 characters of RFC 9562, section 4.
func appendUUID(dst []byte, u *[16]byte) []byte {
	dst = append(dst, nilUUID...)
	b := (*[uuidCharacters]byte)(dst[len(dst)-uuidCharacters:])
	for i, at := range uuidDigits {
		b[at], b[at+1] = hexDigits[u[i]>>4], hexDigits[u[i]&0xf]
	}
	return dst
}

func appendUUIDText(dst []byte, u *[16]byte) []byte {
	dst = append(dst, '"')
	dst = appendUUID(dst, u)
	return append(dst, '"')
}

// appendTimeText appends a time as a string: RFC 3339, UTC, milliseconds. The calendar is that of
// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
func appendTimeText(dst []byte, t session.Time) []byte {
	const dayMs, daysTo1970 = 86_400_000, 719_468 // from 0000-03-01, which no time is in front of
	sinceThen := uint64(t + daysTo1970*dayMs)
	z, ms := uint32(sinceThen/dayMs), uint32(sinceThen%dayMs)
	era := z / 146_097
	doe := z % 146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day, month, year := doy-(153*mp+2)/5+1, mp+3, yoe+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	const form = `"0000-00-00T00:00:00.000Z"`
	dst = append(dst, form...)
	b := (*[len(form)]byte)(dst[len(dst)-len(form):])
	b[1], b[2] = digits2(year / 100)
	b[3], b[4] = digits2(year % 100)
	b[6], b[7] = digits2(month)
	b[9], b[10] = digits2(day)
	b[12], b[13] = digits2(ms / 3_600_000)
	b[15], b[16] = digits2(ms / 60_000 % 60)
	b[18], b[19] = digits2(ms / 1000 % 60)
	b[21], b[22] = digits2(ms % 1000 / 10)
	b[23] = byte('0' + ms%10)
	return dst
}

func digits2(n uint32) (tens, ones byte) { return byte('0' + n/10), byte('0' + n%10) }
