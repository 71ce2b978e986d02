"""Submit digit images as jobs, knowing nothing but the contract, and keep a journal of what was acknowledged.

    submit.py --brokers B --topic T --images FOLDER --jobs N --journal FILE [--form png|payload|tensor] [--keys K]
              [--rate R [--until-exists FILE]]
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

import contract
from clients import Submitter

STATE = "vendor=a1,other=b2"
# What the project has never heard of: it must come out at the other end as it went in, twice where it stood twice.
UNKNOWN = [("x-blob", b"\xff\x00\x01"), ("x-twice", b"1"), ("x-twice", b"2"), ("x-null", None), ("x-empty", b"")]


def body(form, path, pixels):
    if form == "png":
        return "image/png", path.read_bytes()
    if form == "payload":
        return contract.MSGPACK, contract.job(contract.byte_strings("payload", [path.read_bytes()]))
    image = (pixels[None, None] / 255).astype(np.float32)
    return contract.MSGPACK, contract.job(contract.tensor("image", image))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--pipeline", default="digits")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--form", choices=("png", "payload", "tensor"), default="png")
    parser.add_argument("--keys", type=int, default=0, help="how many keys every second job is spread over (0: none)")
    parser.add_argument("--rate", type=float, default=0, help="jobs a second (0: as fast as it goes)")
    parser.add_argument("--until-exists", type=Path, help="go on after N jobs until this file is there")
    asked = parser.parse_args()

    def is_enough(number):
        return number >= asked.jobs and (asked.until_exists is None or asked.until_exists.exists())

    paths = sorted(asked.images.glob("*.png"))
    bodies = []
    for path in paths:
        with Image.open(path) as image:
            bodies.append(body(asked.form, path, np.asarray(image)))

    submitter = Submitter(asked.brokers)
    sequence = {}
    start = time.monotonic()
    for number in itertools.takewhile(lambda number: not is_enough(number), itertools.count()):
        image = number % len(paths)
        content_type, value = bodies[image]
        # Every second job has a key; the others may go anywhere.
        key = f"key-{number // 2 % asked.keys}" if asked.keys and number % 2 == 0 else None
        sequence[key] = sequence.get(key, -1) + 1
        id = contract.uuid7()
        headers = contract.job_headers(asked.pipeline, content_type, id)
        headers += [("tracestate", STATE.encode()), ("ce_batchid", b"batch-7"), *UNKNOWN]
        facts = {name: contract.shown(content) for name, content in headers}
        note = {"id": id, "key": key, "sequence": sequence[key], "image": paths[image].name}
        note |= {"time": facts["ce_time"], "traceparent": facts["traceparent"]}
        submitter.send(asked.topic, key, value, headers, note)
        if asked.rate:
            ahead = (number + 1) / asked.rate - (time.monotonic() - start)
            if ahead > 0:
                submitter.producer.poll(ahead)
    journal = submitter.finish()
    seconds = time.monotonic() - start
    asked.journal.write_text(json.dumps({"jobs": journal, "seconds": seconds, "state": STATE}))
    print(f"submitted {len(journal)} jobs in {seconds:.1f} s")


if __name__ == "__main__":
    main()
