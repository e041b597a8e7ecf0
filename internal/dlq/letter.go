// Package dlq reads dead letters, sends them back to the input, and remembers which of them went.
package dlq

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
)

// HeaderAttempts is the last header of a record that was sent back: how often that has happened to
// it, in decimal. It stays with the record, so that one that fails again and again is found out.
const HeaderAttempts = "__sessionizer.redrive.attempts"

// AttemptsMax is the greatest count that is written: it stays there. Whoever allows more attempts
// sends everything back, also what a producer has given this header.
const AttemptsMax = 999

// Place is where a record lies.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// Letter is a dead letter.
type Letter struct {
	At       Place  // among the dead letters
	From     Place  // of the record in the input
	Reason   string // as in schemas.Reason, of whatever version wrote it
	Message  string
	Cut      string // what was left out because it did not fit; empty: nothing
	Attempts int    // how often the record was sent back before
	Record   *kgo.Record
	Headers  []kgo.RecordHeader // the record's own, without those of the dead letter
}

// Parse reads a record of a dead-letter topic. It is none of ours if the headers that every dead
// letter ends with are not there. A record of the input may have headers of the same names: those
// before the last ones are its own.
func Parse(r *kgo.Record) (*Letter, bool) {
	l := &Letter{At: Place{r.Topic, r.Partition, r.Offset}, Record: r}
	own := r.Headers
	if n := len(own); n > 0 && own[n-1].Key == schemas.HeaderErrorCut {
		l.Cut, own = string(own[n-1].Value), own[:n-1]
	}
	names := [...]string{
		schemas.HeaderErrorTopic, schemas.HeaderErrorPartition, schemas.HeaderErrorOffset,
		schemas.HeaderErrorReason, schemas.HeaderErrorMessage,
	}
	if len(own) < len(names) {
		return nil, false
	}
	said := own[len(own)-len(names):]
	for i, name := range names {
		if said[i].Key != name {
			return nil, false
		}
	}
	partition, err := strconv.ParseInt(string(said[1].Value), 10, 32)
	if err != nil || partition < 0 {
		return nil, false
	}
	offset, err := strconv.ParseInt(string(said[2].Value), 10, 64)
	if err != nil || offset < 0 {
		return nil, false
	}
	l.From = Place{string(said[0].Value), int32(partition), offset}
	l.Reason, l.Message = string(said[3].Value), string(said[4].Value)
	l.Headers = own[: len(own)-len(names) : len(own)-len(names)]
	l.Attempts = attempts(l.Headers)
	return l, true
}

// attempts is the count that we put behind all other headers when we sent the record back. A header
// of that name anywhere else, or with a value that we do not write, is the record's own, and counts
// as none: whoever writes events could exempt them from being sent back otherwise.
func attempts(headers []kgo.RecordHeader) int {
	if len(headers) == 0 || headers[len(headers)-1].Key != HeaderAttempts {
		return 0
	}
	text := string(headers[len(headers)-1].Value)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > AttemptsMax || strconv.Itoa(n) != text {
		return 0
	}
	return n
}

// back is the record as it goes to the input again: the same place but for the offset, the same
// key, value, headers and timestamp, and the header that counts.
func (l *Letter) back() *kgo.Record {
	own := l.Headers
	if l.Attempts > 0 {
		own = own[:len(own)-1]
	}
	r := &kgo.Record{
		Topic: l.From.Topic, Partition: l.From.Partition,
		Key: l.Record.Key, Value: l.Record.Value, Timestamp: l.Record.Timestamp,
		Headers: make([]kgo.RecordHeader, 0, len(own)+1),
	}
	r.Headers = append(append(r.Headers, own...), kgo.RecordHeader{
		Key:   HeaderAttempts,
		Value: strconv.AppendInt(nil, int64(min(l.Attempts+1, AttemptsMax)), 10),
	})
	return r
}

// The reasons for which a dead letter is not sent back.
const (
	RefusedCut       = "cut"
	RefusedAttempts  = "attempts"
	RefusedTopic     = "topic"
	RefusedPartition = "partition"
)

// Inputs are the input topics with their numbers of partitions.
type Inputs map[string]int32

// Refuse says why a dead letter cannot be sent back, in a word and in a sentence; no word: it can.
func (in Inputs) Refuse(l *Letter, attemptsMax int) (word, why string) {
	count, ok := in[l.From.Topic]
	switch {
	case l.Cut != "":
		return RefusedCut, "it did not fit and lacks its " + l.Cut +
			": send the whole record again, from where it came from"
	case l.Attempts >= attemptsMax:
		return RefusedAttempts, fmt.Sprintf("it was sent back %d times and failed each time: "+
			"mend what is wrong with it, or raise --max-attempts", l.Attempts)
	case !ok:
		return RefusedTopic, "it is from " + l.From.Topic +
			", which is no input topic of this configuration"
	case l.From.Partition >= count:
		return RefusedPartition, fmt.Sprintf("%s has %d partitions now", l.From.Topic, count)
	}
	return "", ""
}
