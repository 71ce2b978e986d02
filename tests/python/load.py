"""Submit jobs steadily while everything else breaks, and write each into a journal before it is sent.

    load.py --brokers B --topic T --jobs N --rate R --until-exists FILE --journal FILE --run NAME
            [--form png|divide|slow] [--images FOLDER] [--special N,N,...] [--again]

The journal has one line for each event, its fields between tabs:

    >  number  id  key or -  place among the jobs of its key  what it asks     about to be sent
    <  number  partition  offset                                               acknowledged
    ?  number  reason                                                          not acknowledged: it may be there or not
"""

import argparse
import time
from pathlib import Path

import numpy as np
from confluent_kafka import Producer

import contract

KEYS = 50
# With --again: one job of so many comes twice at once, one again while it is under way, one long after its result.
AGAIN = 200
UNDER_WAY, DONE = 25, 5_000


class Forms:
    """One method per form of a job: what it asks, for the journal, with its content type and its body."""

    def __init__(self, asked):
        self.special = {int(number) for number in asked.special.split(",") if number}
        self.images = []
        if asked.form == "png":
            self.images = [(path.name, path.read_bytes()) for path in sorted(asked.images.glob("*.png"))]
        self.of = getattr(self, asked.form)

    def png(self, number):
        name, content = self.images[number % len(self.images)]
        return name, "image/png", content

    def divide(self, number):
        """For divide.onnx: a special job divides by 0."""
        return self.tensor(100 if number in self.special else 1 + number % 99, np.int32)

    def slow(self, number):
        """For slow.onnx: a special job takes a tenth of a second and more."""
        return self.tensor(100_000 if number in self.special else 1, np.int64)

    def tensor(self, x, datatype):
        return f"x={x}", contract.MSGPACK, contract.job(contract.tensor("x", np.array([[x]], datatype)))


class Load:
    def __init__(self, asked):
        self.asked, self.forms, self.sequence = asked, Forms(asked), {}
        # A line at a time: what is not on its way to the disk must not be on its way to the broker.
        self.journal = asked.journal.open("w", buffering=1)
        self.submitted = 0
        self.producer = Producer({
            "bootstrap.servers": asked.brokers,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            # Sticking to a partition for a while would leave the others idle, and idle looks like stuck.
            "sticky.partitioning.linger.ms": 0,
            "batch.size": 100_000,
            # An outage is the brokers' affair; this producer outlives it.
            "message.timeout.ms": 240_000,
            "reconnect.backoff.max.ms": 1_000,
            "topic.metadata.refresh.interval.ms": 5_000,
        })  # fmt: skip

    def send(self, number):
        """Submit the job of this number, under a number of its own if it has been submitted before."""
        what, content_type, body = self.forms.of(number)
        id = f"{self.asked.run}-{number:07}"
        # Every second job has a key; the others may go anywhere.
        key = f"key-{number // 2 % KEYS}" if number % 2 == 0 else None
        self.sequence[key] = self.sequence.get(key, -1) + 1
        turn, self.submitted = self.submitted, self.submitted + 1

        def told(error, message):
            if error is None:
                self.journal.write(f"<\t{turn}\t{message.partition()}\t{message.offset()}\n")
            else:
                self.journal.write(f"?\t{turn}\t{error}\n")

        headers = contract.job_headers("digits", content_type, id)
        self.journal.write(f">\t{turn}\t{id}\t{key or '-'}\t{self.sequence[key]}\t{what}\n")
        while True:
            try:
                self.producer.produce(self.asked.topic, body, key, headers=headers, on_delivery=told)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def send_again(self, number):
        if number % AGAIN == 0:
            self.send(number)
        elif number % AGAIN == 50:
            self.send(number - UNDER_WAY)
        elif number % AGAIN == 100 and number > DONE:
            self.send(number - DONE)

    def run(self):
        asked, start, number = self.asked, time.monotonic(), 0
        while self.submitted < asked.jobs or not asked.until_exists.exists():
            self.send(number)
            if asked.again:
                self.send_again(number)
            number += 1
            ahead = self.submitted / asked.rate - (time.monotonic() - start)
            if ahead > 0.005:
                self.producer.poll(ahead)
        self.producer.flush(300)
        seconds = time.monotonic() - start
        print(f"submitted {self.submitted} jobs in {seconds:.1f} s, {len(self.producer)} of them without an answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="jobs a second")
    parser.add_argument("--until-exists", type=Path, required=True, help="go on after N jobs until this file is there")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--run", required=True, help="what the ids begin with")
    parser.add_argument("--form", choices=("png", "divide", "slow"), default="png")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--special", default="", help="numbers of the jobs that the form knows as special")
    parser.add_argument("--again", action="store_true", help="submit some ids a second time: at once, under way, done")
    Load(parser.parse_args()).run()


if __name__ == "__main__":
    main()
