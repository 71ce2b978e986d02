"""Watch how far each stage has come: what its group has committed of each partition, four times a second, until killed.

    progress.py --brokers B --groups G,G,... --report FILE

A group is called as its topic. Each line of the report is {"at": seconds since 1970, "group": G, "committed": [offsets]};
there is none where the brokers do not say. -1 is nothing yet.
"""

import argparse
import json
import threading
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

INTERVAL = 0.25
PATIENCE = 2


def watch(brokers, group, report, lock):
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": group,
        "enable.auto.commit": False,
        # What is committed for good, without waiting for transactions that are under way.
        "isolation.level": "read_uncommitted",
        "reconnect.backoff.max.ms": 250,
        "topic.metadata.refresh.interval.ms": 5_000,
        "log_level": 0,
    })  # fmt: skip
    partitions, known_until = [], 0
    while True:
        began = time.time()
        try:
            if began > known_until:
                found = consumer.list_topics(group, timeout=PATIENCE).topics[group].partitions
                partitions, known_until = [TopicPartition(group, number) for number in sorted(found)], began + 5
            committed = [max(found.offset, -1) for found in consumer.committed(partitions, timeout=PATIENCE)]
            if committed:
                with lock:
                    report.write(json.dumps({"at": began, "group": group, "committed": committed}) + "\n")
        except KafkaException:
            pass
        time.sleep(max(0.0, INTERVAL - (time.time() - began)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--groups", required=True)
    parser.add_argument("--report", type=Path, required=True)
    asked = parser.parse_args()
    lock, report = threading.Lock(), asked.report.open("w", buffering=1)
    threads = [
        threading.Thread(target=watch, args=(asked.brokers, group, report, lock), daemon=True)
        for group in asked.groups.split(",")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
