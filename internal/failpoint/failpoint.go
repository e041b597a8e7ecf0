// Package failpoint kills the program at places that only a test can ask for: one for each line of
// the table of crashes in DESIGN.md. A program built with the tag failpoint is killed with SIGKILL
// when it comes to the place that SESSIONIZER_FAILPOINT names for the n-th time, as in
// offsets-sent:3. In any other build nothing of it is there.
package failpoint

// Variable names the environment's variable.
const Variable = "SESSIONIZER_FAILPOINT"

// The places.
const (
	// OpenTransaction: a broker has acknowledged a record, and nobody has asked for an end. Every
	// record comes here, and every transaction of `dlq redrive`.
	OpenTransaction = "open-transaction"
	// OffsetsSent: the offsets are pending in the transaction, whose end was not asked for.
	OffsetsSent = "offsets-sent"
	// EndSent: the end is asked for and its answer is never read.
	EndSent = "end-sent"
	// Committed: the transaction is committed and the store knows nothing of it.
	Committed = "committed"
	// WriteBehind: the commits of one partition are in Pebble's memory, those of others are not.
	WriteBehind = "write-behind"
	// HalfWritten: half of what Pebble writes to one of its files is in the file.
	HalfWritten = "half-written"
)
