package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sessionizer/internal/dlq"
	"sessionizer/schemas"
	"sessionizer/session"
)

type dlqShowOptions struct {
	dlqFilter
	limit   int64
	payload bool
	pending bool
	json    bool
	avro    string // file
}

func (a *app) dlqShowCommand() *cobra.Command {
	var o dlqShowOptions
	c := command(&cobra.Command{
		Use:   "show",
		Short: "Show the dead letters: where each came from, and why",
		Long: "Reads the dead-letter topic up to where it ends now, and writes a line for each dead letter,\n" +
			"with its place in the input and what was wrong. How many there are for which reason is told\n" +
			"on standard error, of all that the filters take. It joins no group and commits nothing.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error { return a.dlqShow(cmd.Context(), &o) })
	o.flags(c)
	c.Flags().Int64Var(&o.limit, "limit", 0, "show no more than `N` (default: all)")
	c.Flags().BoolVar(&o.payload, "payload", false, "show the payloads too, which are private")
	c.Flags().BoolVar(&o.pending, "pending", false, "leave out those that were sent back")
	c.Flags().BoolVar(&o.json, "json", false, "one JSON object a line, with headers and payload")
	c.Flags().StringVar(&o.avro, "avro", "",
		"write those that are shown to an Avro container `FILE` too, with headers and payload")
	return c
}

func (a *app) dlqShow(ctx context.Context, o *dlqShowOptions) (err error) {
	want, err := o.filter(time.Now())
	if err != nil {
		return err
	}
	if o.limit < 0 {
		return usageError{fmt.Errorf("--limit %d: want 1 or more", o.limit)}
	}
	if err := a.checkLetterFile(o.avro); err != nil {
		return err
	}
	d, err := a.openDeadLetters()
	if err != nil {
		return err
	}
	defer d.client.Close()
	if d.stretches, err = lookUpStretches(ctx, d.client, []string{d.kafka.DeadLetters},
		committedEnds); err != nil {
		return d.fault(err)
	}
	if err := d.readMarks(ctx); err != nil {
		return d.fault(err)
	}
	file, err := createLetterFile(o.avro)
	if err != nil {
		return err
	}
	out := newOutput("/dev/stdout", a.stdout)
	s := &dlqShown{w: out, file: file, o: o, reasons: map[string]int64{}}
	err = d.each(ctx, func(l *dlq.Letter, isRedriven bool) error {
		if !want.Takes(l) || o.pending && isRedriven {
			return nil
		}
		return s.take(l, isRedriven)
	})
	if err := errors.Join(d.fault(err), file.close(), out.close()); err != nil {
		return err
	}
	s.summary(a.stderr, d)
	return nil
}

// dlqShown writes dead letters and counts them.
type dlqShown struct {
	w        io.Writer
	file     *letterFile
	o        *dlqShowOptions
	all      int64
	redriven int64
	reasons  map[string]int64
	place    string // partition of the last line
}

func (s *dlqShown) take(l *dlq.Letter, isRedriven bool) error {
	s.all++
	s.reasons[l.Reason]++
	if isRedriven {
		s.redriven++
	}
	if s.o.limit > 0 && s.all > s.o.limit {
		return nil
	}
	if err := s.file.take(l, isRedriven); err != nil {
		return err
	}
	if s.o.json {
		return writeJSONLine(s.w, shownLetter(l, isRedriven))
	}
	return s.line(l, isRedriven)
}

// line writes a dead letter for people. What is in the record is shown without what would move a
// terminal's cursor, also where our headers stand: others may write to the topic.
func (s *dlqShown) line(l *dlq.Letter, isRedriven bool) error {
	var b strings.Builder
	if s.all == 1 {
		fmt.Fprintf(&b, "%9s  %-23s  %-20s  %-11s  %9s  %-20s  %s\n",
			"offset", "record time (UTC)", "from", "reason", "bytes", "key", "message")
	}
	if place := fmt.Sprintf("%s/%d", l.At.Topic, l.At.Partition); place != s.place {
		fmt.Fprintf(&b, "%s\n", place)
		s.place = place
	}
	at := l.Record.Timestamp.UTC().Format("2006-01-02 15:04:05.000")
	fmt.Fprintf(&b, "%9d  %s  %-20s  %-11s  %9s  %-20s  %s", l.At.Offset, at,
		printable(l.From.String()), printable(l.Reason), grouped(int64(len(l.Record.Value))),
		printable(string(l.Record.Key)), printable(l.Message))
	if l.Cut != "" {
		fmt.Fprintf(&b, "; cut: %s", printable(l.Cut))
	}
	if l.Attempts > 0 {
		fmt.Fprintf(&b, "; sent back %s before", counted(l.Attempts, "time"))
	}
	if isRedriven {
		b.WriteString("; redriven")
	}
	b.WriteByte('\n')
	if s.o.payload {
		fmt.Fprintf(&b, "%9s  %s\n", "", printable(string(l.Record.Value)))
	}
	_, err := io.WriteString(s.w, b.String())
	return err
}

// summary tells how many there are, by reason.
func (s *dlqShown) summary(w io.Writer, d *deadLetters) {
	if s.all == 0 {
		fmt.Fprintf(w, "no dead letters in %s, or none that the filters take\n", d.kafka.DeadLetters)
	} else {
		fmt.Fprintf(w, "%s: %s", counted(int(s.all), "dead letter"), printable(listed(s.reasons)))
		if s.redriven > 0 {
			fmt.Fprintf(w, "; %s redriven", grouped(s.redriven))
		}
		if s.o.limit > 0 && s.all > s.o.limit {
			fmt.Fprintf(w, "; the first %s shown", grouped(s.o.limit))
		}
		fmt.Fprintln(w)
	}
	d.tellForeign(w)
}

// tellForeign speaks of records that somebody else wrote.
func (d *deadLetters) tellForeign(w io.Writer) {
	if d.foreign > 0 {
		fmt.Fprintf(w, "%s in %s without the headers of a dead letter\n",
			counted(int(d.foreign), "record"), d.kafka.DeadLetters)
	}
}

// letterJSON is a dead letter as a line of JSON. Bytes that are no text are in base64 (RFC 4648,
// section 4).
type letterJSON struct {
	Topic          string       `json:"topic"` // of the input, like the next two
	Partition      int32        `json:"partition"`
	Offset         int64        `json:"offset"`
	Reason         string       `json:"reason"`
	Message        string       `json:"message"`
	Cut            string       `json:"cut,omitempty"`
	Timestamp      string       `json:"timestamp"`
	Key            *string      `json:"key,omitempty"`
	KeyBase64      string       `json:"keyBase64,omitempty"`
	Headers        []headerJSON `json:"headers,omitempty"`
	Attempts       int          `json:"attempts,omitempty"`
	Redriven       bool         `json:"redriven,omitempty"`
	DeadLetter     placeJSON    `json:"deadLetter"`
	Original       *string      `json:"original,omitempty"`
	OriginalBase64 string       `json:"originalBase64,omitempty"`
}

type headerJSON struct {
	Key         string `json:"key"`
	Value       any    `json:"value,omitempty"` // text or null, unless the next one is there
	ValueBase64 string `json:"valueBase64,omitempty"`
}

type placeJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func shownLetter(l *dlq.Letter, isRedriven bool) *letterJSON {
	x := &letterJSON{
		Topic: l.From.Topic, Partition: l.From.Partition, Offset: l.From.Offset,
		Reason: l.Reason, Message: l.Message, Cut: l.Cut,
		Timestamp: formatTime(session.Time(l.Record.Timestamp.UnixMilli())),
		Attempts:  l.Attempts, Redriven: isRedriven, DeadLetter: placeJSON(l.At),
	}
	x.Key, x.KeyBase64 = textOrBase64(l.Record.Key)
	x.Original, x.OriginalBase64 = originalOrBase64(append([]byte{}, l.Record.Value...))
	for _, h := range l.Headers {
		header := headerJSON{Key: h.Key}
		text, base64 := textOrBase64(h.Value)
		if header.ValueBase64 = base64; base64 == "" {
			header.Value = text
		}
		x.Headers = append(x.Headers, header)
	}
	return x
}

// writeJSONLine writes a line of JSON. The control characters that JSON lets pass (DEL, and those
// that have two bytes in UTF-8) are escaped too: a terminal would obey them.
func writeJSONLine(w io.Writer, of any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(of); err != nil {
		return err
	}
	line := b.Bytes()
	written := 0
	for i := range line {
		size := 1
		switch {
		case line[i] == 0x7f:
		case line[i] == 0xc2 && line[i+1] < 0xa0: // the line is UTF-8
			size = 2
		default:
			continue
		}
		if _, err := fmt.Fprintf(w, `%s\u%04x`, line[written:i], line[i+size-1]); err != nil {
			return err
		}
		written = i + size
	}
	_, err := w.Write(line[written:])
	return err
}

// textOrBase64 is bytes as text where they are, nil where there are none at all.
func textOrBase64(b []byte) (*string, string) {
	if b == nil {
		return nil, ""
	}
	if !utf8.Valid(b) {
		return nil, base64.StdEncoding.EncodeToString(b)
	}
	text := string(b)
	return &text, ""
}

// originalOrBase64 is textOrBase64 of an event. As in the dead letters of files, one of control
// characters is in Base64.
func originalOrBase64(b []byte) (*string, string) {
	if schemas.IsOriginalText(int64(len(b)), schemas.EscapedBytes(b)) {
		return textOrBase64(b)
	}
	return nil, base64.StdEncoding.EncodeToString(b)
}

// sum adds up counts.
func sum(counts map[string]int64) (all int64) {
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		all += counts[word]
	}
	return all
}
