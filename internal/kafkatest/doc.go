// Package kafkatest holds the integration tests: the program that users get, on the brokers of a
// real Apache Kafka, through starts, kills, pauses and refusals. They have the build tag kafka and
// read the topics as any consumer can; nothing here knows the engine.
//
// KAFKA_BROKERS names the brokers, SESSIONIZER_BIN the program (built once where it is empty), and
// KAFKATEST_SEED repeats the random choices of a run.
package kafkatest
