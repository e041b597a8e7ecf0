package schemas

import _ "embed" // the schemas

// The schemas of what others read: in Avro, and in JSON Schema (draft 2020-12) of the JSON forms.
// Visit Started and Visit Ended are one record in Avro: they share a topic, a registry knows one
// subject for it by default (<topic>-value), and two records of different names cannot be versions
// of one another there. In JSON a schema can say more of each, so there are two.

//go:embed session.avsc
var sessionSchema string

//go:embed visit.avsc
var visitSchema string

//go:embed dead_letter.avsc
var deadLetterSchema string

//go:embed session.schema.json
var sessionJSONSchema string

//go:embed visit_started.schema.json
var visitStartedJSONSchema string

//go:embed visit_ended.schema.json
var visitEndedJSONSchema string

//go:embed dead_letter.schema.json
var deadLetterJSONSchema string

// Text is what a kind of record looks like.
type Text struct {
	Name  string // visit-ended
	About string // one line
	Avro  string // schema
	JSON  string // schema of the JSON form
}

// Texts returns the schemas of all that is written, but for the events themselves, whose schemas
// are their owners'.
func Texts() []Text {
	return []Text{
		{"session", "the session that is put into events", sessionSchema, sessionJSONSchema},
		{"visit-started", "the beginning of a session", visitSchema, visitStartedJSONSchema},
		{"visit-ended", "a session that has ended", visitSchema, visitEndedJSONSchema},
		{"dead-letter", "an event that could not be processed", deadLetterSchema,
			deadLetterJSONSchema},
	}
}

// DeadLetterSchema returns the Avro schema of a dead letter in a table of them.
func DeadLetterSchema() string { return deadLetterSchema }

// VisitSchema returns the Avro schema of the records about visits, for the subject of their topic.
func VisitSchema() string { return visitSchema }
