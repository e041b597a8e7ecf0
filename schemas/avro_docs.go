package schemas

// fieldDocs say what the fields of a session are, in every schema that has them: session.avsc says
// the same.
var fieldDocs = [fieldInSession]string{
	fieldID: "Id of the session: a number, or a text where session.id_type is uuid or " +
		"string.",
	fieldStart: "True on exactly one event of a session, its first one in the output; null on " +
		"all others.",
	fieldUUID:  "UUID of the session, lower case.",
	fieldIndex: "Number of the session for its key, by opening, from 1.",
	fieldEventIndex: "Number of the event in its session, by arrival, from 1; null: it is attached, " +
		"or a duplicate.",
	fieldPreviousID: "Id of the session before it; null: there was none.",
	fieldStartedAt:  "Time of the first event as of this one, milliseconds since 1970 UTC.",
	fieldReason: "On the start event, why the session began: first, inactivity, client_id, " +
		"client_start, user_change, max_duration, max_events, campaign, midnight.",
	fieldGapMs: "Milliseconds between the session, before it took the event, and the event: 0 " +
		"inside of it; null on the start event.",
	fieldClamped: "True: the event's time lay in the future and was set to the record's; else " +
		"null.",
	fieldDuplicate: "True: an event of this message id had been seen, where session.dedupe is on; " +
		"else null.",
	fieldTimeoutMs: "Timeout of the session in force after the event, as configured, in " +
		"milliseconds.",
	fieldIDSource: "Who gave the id: client or server.",
	fieldClientID: "Session id that the client sent with the event, whatever became of it; null: " +
		"none that is valid.",
	fieldLate: "True: a newer session of the key was live after the event; else null.",
	fieldState: "Why the event has no session: too_late or unattached; null: it has one, or was" +
		" to have none.",
	fieldCampaign: "Campaign of the session as of the event: utm_* without the prefix (name, " +
		"source, medium, term, content, id) and click ids (gclid, ...).",
	fieldFirstEventID: "Message id of the session's first event; null: it has none.",
}

// Docs of what is around the fields.
const (
	docSession   = "The session of the event, written by Sessionizer."
	docContainer = "Where the session of the event is, written by Sessionizer."
	docCopy      = "Copied by Sessionizer from where else the event has it."
)
