//go:build failpoint

package processor

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/failpoint"
)

// The failpoints on the wire are hooks of the lane's client, next to those of the group.

// OnBrokerRead is called with an answer before anybody is told of it.
func (*calls) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil && key == kmsg.TxnOffsetCommit.Int16() {
		failpoint.Hit(failpoint.OffsetsSent)
	}
}

// OnBrokerWrite is called with a request that was written, before its answer is waited for.
func (*calls) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil && key == kmsg.EndTxn.Int16() {
		failpoint.Hit(failpoint.EndSent)
	}
}
