package processor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// StopError ends Run: going on would lose, double or corrupt something, or cannot succeed
// however often it is tried. It says what is wrong and what an operator has to do.
type StopError struct {
	What  string
	Do    string
	Cause error
}

func (e *StopError) Error() string {
	s := e.What
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	switch {
	case e.Do == "":
		return s
	case strings.Contains(s, "\n"):
		return s + "\n" + e.Do
	}
	return s + "; " + e.Do
}

func (e *StopError) Unwrap() error { return e.Cause }

// errHalted is how everything ends that Config.Halt interrupts.
var errHalted = errors.New("halted")

// resetError asks for a lane reset: the client is thrown away and the lane begins as at its
// start. It is the answer to every end of a transaction whose outcome is not known for sure.
type resetError struct {
	why   string
	cause error
}

func (e *resetError) Error() string { return fmt.Sprintf("%s: %v", e.why, e.cause) }
func (e *resetError) Unwrap() error { return e.cause }

// fenced reports whether err says that another producer uses our transactional id, or that the
// coordinator aborted our transaction over our head. The two look alike here.
func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) ||
		errors.Is(err, kerr.FencedInstanceID)
}

// fetchFault is the *StopError of an error that a poll returned for a partition; nil for one that
// another try may mend.
func fetchFault(x tp, err error) error {
	at := "fetch " + x.String()
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		return &StopError{
			What: at + ": the next record is gone, deleted by retention before it was processed",
			Do: "see OPERATING.md, \"Input lost\": nothing is skipped silently; to go on without " +
				"these records set the group's offset to the first one that is there",
			Cause: err,
		}
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition),
		errors.Is(err, kerr.InconsistentTopicID):
		return &StopError{
			What:  at + ": the topic was deleted, or deleted and created again",
			Do:    inputRecreated,
			Cause: err,
		}
	case errors.As(err, &loss):
		return &StopError{
			What:  at + ": the broker lost records that were read already",
			Do:    "see OPERATING.md, \"Input lost\"",
			Cause: err,
		}
	}
	return refusal(at, err)
}

// refusal is the *StopError of an error that a broker gives for what it is asked for, whoever asks
// and however often: a right that is missing, a setting that it does not take. nil for any other.
func refusal(what string, err error) error {
	var do string
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		do = "the brokers do not accept kafka.sasl.username with this password and mechanism"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		do = "the brokers do not offer kafka.sasl.mechanism"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed),
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed):
		do = "grant the rights that OPERATING.md lists"
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		do = "kafka.transaction_timeout is longer than the brokers' transaction.max.timeout.ms"
	case errors.Is(err, kerr.InvalidSessionTimeout):
		do = "kafka.session_timeout is outside of what the brokers allow, group.min.session.timeout.ms " +
			"to group.max.session.timeout.ms"
	case errors.Is(err, kerr.InvalidGroupID):
		do = "the brokers do not take kafka.group as a name"
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		do = "another application consumes with this kafka.group: give this one its own"
	case errors.Is(err, kerr.OffsetMetadataTooLarge):
		do = fmt.Sprintf("raise the brokers' offset.metadata.max.bytes, to %d", metadataBytesMax)
	default:
		return nil
	}
	return &StopError{What: what, Do: do, Cause: err}
}
