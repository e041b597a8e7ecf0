package dlq

import (
	"slices"
	"time"
)

// Filter chooses among dead letters. All that it asks for must hold; the zero Filter but for
// Partition takes all.
type Filter struct {
	Reasons   []string // any of them; none: all
	Topics    []string // of the input, any of them; none: all
	Partition int32    // of the input; negative: all

	FromOffset, ToOffset int64     // of the input, both included; ToOffset negative: no end
	Since, Until         time.Time // of the record's timestamp: [Since, Until); zero: no bound
}

// Takes reports whether a dead letter is one of those asked for.
func (f *Filter) Takes(l *Letter) bool {
	at := l.Record.Timestamp
	switch {
	case len(f.Reasons) > 0 && !slices.Contains(f.Reasons, l.Reason),
		len(f.Topics) > 0 && !slices.Contains(f.Topics, l.From.Topic),
		f.Partition >= 0 && l.From.Partition != f.Partition,
		l.From.Offset < f.FromOffset,
		f.ToOffset >= 0 && l.From.Offset > f.ToOffset,
		!f.Since.IsZero() && at.Before(f.Since),
		!f.Until.IsZero() && !at.Before(f.Until):
		return false
	}
	return true
}
