// Package sim runs the whole of the pipeline on one thread by a seed: the processor's tasks, their
// state in Pebble and the recovery from the changelog, in several members of a group, over a log in
// memory that has what Kafka's has: transactions with markers, stable ends, fencing by epoch and
// generation, offsets with metadata that wait for their transaction, compaction. A seed says what
// arrives and everything that goes wrong; the same seed is the same run, byte for byte.
//
// What came out is held against the rules played once over the same input with nothing going wrong
// (reference.go), which are held against the oracle, event by event. See docs/simulation.md.
package sim
