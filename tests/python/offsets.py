"""What a group has committed of a topic, against what is in it: one JSON object {"committed": n, "end": n}.

    offsets.py --brokers B --group G --topic T
"""

import argparse
import json
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

# A coordinator that was moved, or whose broker just came back, says so for some seconds.
PATIENCE = 60
PASSING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._TIMED_OUT,
    KafkaError._WAIT_COORD,
}


def committed_by(consumer, partitions):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return sum(max(found.offset, 0) for found in consumer.committed(partitions, timeout=20))
        except KafkaException as error:
            if error.args[0].code() not in PASSING or time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--topic", required=True)
    asked = parser.parse_args()

    consumer = Consumer({"bootstrap.servers": asked.brokers, "group.id": asked.group, "enable.auto.commit": False})
    partitions = [TopicPartition(asked.topic, p) for p in consumer.list_topics(asked.topic, timeout=20).topics[asked.topic].partitions]
    committed = committed_by(consumer, partitions)
    end = sum(consumer.get_watermark_offsets(partition, timeout=20)[1] for partition in partitions)
    print(json.dumps({"committed": committed, "end": end}))
    consumer.close()


if __name__ == "__main__":
    main()
