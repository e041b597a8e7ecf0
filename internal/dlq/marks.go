package dlq

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// HeaderRedriven is the only header of a mark.
const HeaderRedriven = "__sessionizer.redriven"

// A mark is a record of a dead-letter partition that says which dead letters before it were sent
// back: no key, no value, and one header with their offsets, such as "17 19-25". It is written in
// the transaction that sends them back. It lies behind what it speaks of in the same partition, so
// it is deleted no earlier, and goes with the topic when that is made anew: none of which holds for
// the committed offsets of a group, which a broker forgets after some days without a member, and
// which cannot say that one was left out between two that went.

// span is a run of offsets, both ends included.
type span struct{ first, last int64 }

// mark makes the record for offsets of one partition, ascending.
func mark(topic string, partition int32, offsets []int64) *kgo.Record {
	var text []byte
	for i := 0; i < len(offsets); {
		end := i
		for end+1 < len(offsets) && offsets[end+1] == offsets[end]+1 {
			end++
		}
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, offsets[i], 10)
		if end > i {
			text = append(text, '-')
			text = strconv.AppendInt(text, offsets[end], 10)
		}
		i = end + 1
	}
	return &kgo.Record{
		Topic: topic, Partition: partition,
		Headers: []kgo.RecordHeader{{Key: HeaderRedriven, Value: text}},
	}
}

// IsMark reports whether a record of a dead-letter topic is a mark. No event can pass for one: a
// dead letter ends with headers of its own.
func IsMark(r *kgo.Record) bool {
	_, ok := parseMark(r)
	return ok
}

func parseMark(r *kgo.Record) ([]span, bool) {
	if len(r.Key) > 0 || len(r.Value) > 0 || len(r.Headers) != 1 ||
		r.Headers[0].Key != HeaderRedriven {
		return nil, false
	}
	var spans []span
	for text := range strings.FieldsSeq(string(r.Headers[0].Value)) {
		from, to, isRun := strings.Cut(text, "-")
		first, err := strconv.ParseInt(from, 10, 64)
		if err != nil {
			return nil, false
		}
		last := first
		if isRun {
			if last, err = strconv.ParseInt(to, 10, 64); err != nil || last < first {
				return nil, false
			}
		}
		spans = append(spans, span{first, last})
	}
	return spans, len(spans) > 0
}

// Marks knows the dead letters of one partition that were sent back.
type Marks struct {
	spans  []span
	sorted bool
}

// Take takes a record of the partition and reports whether it was a mark.
func (m *Marks) Take(r *kgo.Record) bool {
	spans, ok := parseMark(r)
	if ok {
		m.spans, m.sorted = append(m.spans, spans...), false
	}
	return ok
}

// Has reports whether the dead letter at an offset was sent back.
func (m *Marks) Has(offset int64) bool {
	if !m.sorted {
		m.settle()
	}
	i, found := slices.BinarySearchFunc(m.spans, offset, func(s span, offset int64) int {
		return cmp.Compare(s.first, offset)
	})
	return found || i > 0 && m.spans[i-1].last >= offset
}

// settle sorts the spans and joins those that touch.
func (m *Marks) settle() {
	slices.SortFunc(m.spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	joined := m.spans[:0]
	for _, s := range m.spans {
		if n := len(joined); n > 0 && s.first-1 <= joined[n-1].last {
			joined[n-1].last = max(joined[n-1].last, s.last)
			continue
		}
		joined = append(joined, s)
	}
	m.spans, m.sorted = joined, true
}
