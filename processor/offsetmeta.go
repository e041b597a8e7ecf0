package processor

import "fmt"

// offsetMeta is the metadata of a committed offset: which transaction of the partition it belongs
// to, where in the changelog that transaction ends, and how many partitions the input had.
type offsetMeta struct {
	seq, changelogEnd int64
	partitions        int32
}

// The form of the metadata, text and numbers in decimal.
const offsetMetaForm = "sessionizer/1 seq=%d changelog=%d partitions=%d"

func (m offsetMeta) String() string {
	return fmt.Sprintf(offsetMetaForm, m.seq, m.changelogEnd, m.partitions)
}

func parseOffsetMeta(s string) (offsetMeta, bool) {
	var m offsetMeta
	n, err := fmt.Sscanf(s, offsetMetaForm, &m.seq, &m.changelogEnd, &m.partitions)
	return m, err == nil && n == 3 && m.seq > 0 && m.changelogEnd > 0 && m.partitions > 0
}
