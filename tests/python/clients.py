"""Kafka clients as the scripts here use them: a producer that knows what became of each record, and a reader of whole topics."""

import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition


class Submitter:
    """A producer that keeps, beside each record's note in a journal, where the record was written."""

    def __init__(self, brokers):
        self.journal = []
        self.refused = []
        self.producer = Producer({
            "bootstrap.servers": brokers,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            # The partition of a key is part of the contract: as Java clients choose it.
            "partitioner": "murmur2_random",
            "message.max.bytes": 8_000_000,
            # A topic's `max.message.bytes` is about whole batches, and one here may be little.
            "batch.size": 100_000,
            # An outage is the brokers' affair; this producer outlives it.
            "message.timeout.ms": 240_000,
            "reconnect.backoff.max.ms": 1_000,
        })  # fmt: skip

    def send(self, topic, key, value, headers, note):
        def written(error, message):
            if error is not None:
                self.refused.append(f"{note}: {error}")
                return
            note.update(topic=topic, partition=message.partition(), offset=message.offset())
            self.journal.append(note)

        while True:
            try:
                self.producer.produce(topic, value, key, headers=headers, on_delivery=written)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def finish(self):
        """Wait for every acknowledgement, and return the journal. What is not acknowledged ends the script."""
        self.producer.flush(300)
        left = len(self.producer)
        if self.refused or left:
            raise SystemExit(f"{len(self.refused)} records refused, {left} without an answer: {self.refused[:3]}")
        return self.journal


class Deadline:
    def __init__(self, seconds):
        self.at = time.monotonic() + seconds

    def passed(self):
        return time.monotonic() > self.at


class TopicReader:
    """Reads all partitions of a topic from their beginning, outside of any group's assignment."""

    def __init__(self, brokers, topic, deadline):
        self.topic, self.deadline = topic, deadline
        self.consumer = Consumer({
            "bootstrap.servers": brokers,
            "group.id": "reader-without-a-group",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            "reconnect.backoff.max.ms": 1_000,
            "fetch.message.max.bytes": 8_000_000,
        })  # fmt: skip
        partitions = self.partitions()
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        self.next_offsets = {partition: 0 for partition in partitions}

    def partitions(self):
        while not self.deadline.passed():
            metadata = self.consumer.list_topics(self.topic, timeout=10).topics[self.topic]
            if metadata.error is None:
                return sorted(metadata.partitions)
            if metadata.error.code() != KafkaError.LEADER_NOT_AVAILABLE:
                raise SystemExit(f"topic {self.topic}: {metadata.error}")
        raise SystemExit(f"topic {self.topic}: no leader in time")

    def chunk(self):
        """What has come, possibly nothing. Errors of single brokers are theirs to get over."""
        good = []
        for message in self.consumer.consume(5_000, timeout=0.2):
            if message.error() is None:
                self.next_offsets[message.partition()] = message.offset() + 1
                good.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                # What a transaction ends with is no record, so the last record may not be the last offset.
                known = self.next_offsets[message.partition()]
                self.next_offsets[message.partition()] = max(known, message.offset())
        return good

    def to_end(self):
        """Every record up to the end as it is now."""
        ends = {p: self.consumer.get_watermark_offsets(TopicPartition(self.topic, p), timeout=20)[1] for p in self.next_offsets}
        while any(self.next_offsets[partition] < end for partition, end in ends.items()):
            if self.deadline.passed():
                raise SystemExit(f"topic {self.topic}: not read to its end {ends} in time, only to {self.next_offsets}")
            yield from (m for m in self.chunk() if m.offset() < ends[m.partition()])
