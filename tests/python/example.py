"""Submit images and read their labels: all that a program in another language has to do.

    pip install confluent-kafka msgpack numpy
    example.py 127.0.0.1:9092 millstream.digits models/digits/images/0000.png ...

The second argument is the topics' common part, `<prefix>.<pipeline>`. This file stands alone on purpose; what it knows
is in schemas/SPEC.md.
"""

import struct
import sys
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path

import msgpack
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

SECONDS = 60


def read_tensor(tensor):
    """Any tensor as a list; only the datatypes that the digits pipeline answers with."""
    data = tensor["data"]
    if tensor["datatype"] != "BYTES":
        return np.frombuffer(data, {"FP32": "<f4", "INT64": "<i8"}[tensor["datatype"]]).tolist()
    items, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        items.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return items


def read_from_now(brokers, topic):
    """Reads what is written from now on; set up before the first job goes out, so that no answer is missed."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "example", "enable.auto.commit": False})
    partitions = [TopicPartition(topic, number) for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions]
    ends = [consumer.get_watermark_offsets(partition, timeout=20)[1] for partition in partitions]
    consumer.assign([TopicPartition(topic, partition.partition, end) for partition, end in zip(partitions, ends)])
    return consumer


def submit(producer, topic, path):
    """One file as one job: a raw payload, told by its content type. The id comes back on the result."""
    id = str(uuid.uuid4())
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": "dev.millstream.job.v1",
        "ce_source": "/millstream/producer/example",
        "ce_time": datetime.now(timezone.utc).isoformat(),
        "content-type": "image/png",
    }
    producer.produce(topic, path.read_bytes(), headers=headers)
    return id


def main(brokers, topics, *files):
    consumer = read_from_now(brokers, f"{topics}.results")
    # murmur2_random is how every producer of this contract finds the partition of a key.
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "partitioner": "murmur2_random"})
    waiting = {submit(producer, f"{topics}.preprocess", Path(file)): file for file in files}
    producer.flush()

    deadline = time.monotonic() + SECONDS
    while waiting and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None or message.error():
            continue
        headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or []}
        file = waiting.pop(headers.get("ce_id"), None)
        if file is None:
            continue
        body = msgpack.unpackb(message.value())
        if headers["ce_type"] == "dev.millstream.failure.v1":
            print(f"{file}: failed in {body['stage']}: {body['code']}: {body['message']}")
            continue
        outputs = {tensor["name"]: read_tensor(tensor) for tensor in body["outputs"]}
        print(f"{file}: {outputs['label'][0]} ({outputs['score'][0]:.1%})")
    for file in waiting.values():
        print(f"{file}: no answer within {SECONDS} s")
    return 1 if waiting else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
