//! Whole-system tests: real processes on a real Apache Kafka.
