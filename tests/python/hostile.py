"""Submit hostile records among good ones, each with the failure code that the contract gives it, and keep a journal.

    hostile.py --brokers B --topics PREFIX.PIPELINE --images FOLDER --hostile 1000 --good 1000 --max-bytes N --journal FILE
               [--seed S] [--rate R]
"""

import argparse
import json
import random
import struct
import zlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgpack
import numpy as np

import contract
from clients import Submitter

# Where the contract leaves open which of two codes fits better, either is right.
BROKEN = ["undecodable"]
WRONG = ["invalid_input"]
LARGE = ["too_large"]
BROKEN_OR_WRONG = ["undecodable", "invalid_input"]
LARGE_OR_WRONG = ["too_large", "invalid_input"]
ANY_REFUSAL = ["undecodable", "invalid_input", "too_large"]


def png(width, height, depth=8, data=b""):
    """A PNG file with a valid header, whatever the data."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def nested(depth):
    return b"\x81\xa6inputs" + b"\x91" * depth + b"\xc0"


class Kinds:
    """One method per kind of attack: it returns (expected codes, content type or None, value, changes to the headers)."""

    def __init__(self, images, max_bytes, chance):
        self.images, self.max_bytes, self.chance = images, max_bytes, chance
        # Five megabytes of pixels for fifty of file, and a thousand times that for the next.
        self.bomb = png(20_000, 20_000, 1, b"\0" * (20_000 * (1 + 20_000 // 8)))

    def image(self):
        return self.chance.choice(self.images)

    def payload(self, content=None):
        return contract.byte_strings("payload", [self.image() if content is None else content])

    def good_job(self):
        return contract.job(self.payload())

    def with_tensor(self, **changes):
        return contract.job(self.payload() | changes)

    # Bytes that are nothing.

    def random_bytes(self):
        return BROKEN, None, self.chance.randbytes(self.chance.randint(1, 2_000)), {}

    def random_bytes_said_to_be_msgpack(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, self.chance.randbytes(self.chance.randint(1, 2_000)), {}

    def random_bytes_said_to_be_json(self):
        return BROKEN, contract.JSON, b"\xff" + self.chance.randbytes(200), {}

    def truncated_msgpack(self):
        whole = self.good_job()
        return BROKEN, contract.MSGPACK, whole[: self.chance.randrange(1, len(whole))], {}

    def trailing_bytes(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, self.good_job() + b"\0", {}

    def truncated_json(self):
        return BROKEN, contract.JSON, b'{"inputs": [{"name": "payload", "shape": [1', {}

    def huge_array_header(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, b"\x81\xa6inputs\xdd\xff\xff\xff\xff", {}

    def huge_bin_header(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, b"\x81\xa6inputs\x91\x81\xa4data\xc6\xff\xff\xff\xff", {}

    def deep_msgpack(self):
        return ANY_REFUSAL, contract.MSGPACK, nested(100_000), {}

    def deep_json(self):
        return ANY_REFUSAL, contract.JSON, b'{"inputs":' + b"[" * 50_000 + b"]" * 50_000 + b"}", {}

    def empty_value(self):
        return BROKEN, self.chance.choice([None, "image/png", contract.MSGPACK]), b"", {}

    def null_value(self):
        return BROKEN_OR_WRONG, self.chance.choice([None, contract.MSGPACK]), None, {}

    # Well-formed, and not a job.

    def not_a_map(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, msgpack.packb([1, 2, "three"]), {}

    def no_inputs(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, msgpack.packb({"outputs": []}), {}

    def tensor_without_data(self):
        tensor = self.payload()
        del tensor[self.chance.choice(["name", "datatype", "shape", "data"])]
        return BROKEN_OR_WRONG, contract.MSGPACK, contract.job(tensor), {}

    def wrong_key_type(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, self.with_tensor(shape="one"), {}

    def unknown_datatype(self):
        return WRONG, contract.MSGPACK, self.with_tensor(datatype="FLOAT128"), {}

    def wrong_datatype(self):
        return WRONG, contract.MSGPACK, contract.job(contract.tensor("payload", np.zeros(8, np.float32))), {}

    def other_tensor_name(self):
        return WRONG, contract.MSGPACK, contract.job(contract.byte_strings("pay-load", [self.image()])), {}

    def negative_shape(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, self.with_tensor(shape=[-1]), {}

    def shape_disagrees_with_data(self):
        return WRONG, contract.MSGPACK, self.with_tensor(shape=[2]), {}

    def huge_shape(self):
        shape = self.chance.choice([[2**40, 2**40], [2**63, 2], [2**32] * 8, [2**62], [10**9]])
        return LARGE_OR_WRONG, contract.MSGPACK, self.with_tensor(shape=shape, datatype="FP32"), {}

    def huge_shape_without_elements(self):
        tensor = self.payload() | {"shape": [2**40, 0, 2**40], "datatype": "FP32", "data": b""}
        return LARGE_OR_WRONG, contract.MSGPACK, contract.job(tensor), {}

    def rank_of_nine(self):
        return LARGE_OR_WRONG, contract.MSGPACK, self.with_tensor(shape=[1] * 9), {}

    def byte_string_longer_than_the_data(self):
        return BROKEN_OR_WRONG, contract.MSGPACK, self.with_tensor(data=struct.pack("<I", 2**32 - 1) + b"x"), {}

    def too_many_tensors(self):
        many = [contract.tensor(f"t{number}", np.zeros(1, np.float32)) for number in range(500)]
        return LARGE_OR_WRONG, contract.MSGPACK, contract.job(*many), {}

    def half_floats_in_json(self):
        body = {"inputs": [{"name": "payload", "datatype": "FP16", "shape": [1], "data": [1.0]}]}
        return WRONG, contract.JSON, json.dumps(body).encode(), {}

    def json_that_is_no_job(self):
        return BROKEN, contract.JSON, json.dumps({"image": "none"}).encode(), {}

    # Images that are none, or too much.

    def enormous_png(self):
        return LARGE, "image/png", png(60_000, 60_000, data=b"\0" * 100), {}

    def enormous_png_in_a_job(self):
        return LARGE, contract.MSGPACK, contract.job(self.payload(png(60_000, 60_000))), {}

    def png_bomb(self):
        return LARGE, "image/png", self.bomb, {}

    def truncated_png(self):
        image = self.image()
        return BROKEN, "image/png", image[: self.chance.randrange(1, len(image) - 16)], {}

    def png_without_pixels(self):
        return BROKEN, "image/png", png(8, 8), {}

    def text(self):
        return BROKEN, "text/plain", "a text, grüße".encode(), {}

    def no_headers(self):
        return BROKEN, None, b"nothing says what this is", None

    def oversized(self):
        return LARGE, "image/png", self.image() + bytes(self.max_bytes), {}

    # Headers of ours that cannot be read.

    def id_not_utf8(self):
        return WRONG, "image/png", self.image(), {"ce_id": b"\xff\xfe"}

    def id_too_long(self):
        return WRONG, "image/png", self.image(), {"ce_id": b"i" * 257}

    def bad_time(self):
        return WRONG, "image/png", self.image(), {"ce_time": self.chance.choice([b"yesterday", b"\xff", b"2024-13-01T00:00:00Z"])}

    def bad_attempt(self):
        return WRONG, "image/png", self.image(), {"ce_attempt": self.chance.choice([b"soon", b"-1", b"99999999999"])}

    def bad_deadline(self):
        return WRONG, "image/png", self.image(), {"ce_deadline": b"in a while"}

    def bad_content_type(self):
        return WRONG, "image/png", self.image(), {"content-type": b"\xff\xff"}

    def unknown_type(self):
        return WRONG, "image/png", self.image(), {"ce_type": b"com.example.other"}

    def a_result_for_a_job(self):
        return WRONG, "image/png", self.image(), {"ce_type": contract.RESULT.encode()}

    def deadline_passed(self):
        past = datetime.now(timezone.utc) - timedelta(seconds=self.chance.randint(1, 10_000))
        return ["expired"], "image/png", self.image(), {"ce_deadline": past.isoformat().encode()}


class ModelKinds(Kinds):
    """What reaches the model without having been an image."""

    @staticmethod
    def job_with(name, array):
        return contract.job(contract.tensor(name, array))

    def wrong_dtype(self):
        return WRONG, contract.MSGPACK, self.job_with("image", np.zeros((1, 1, 8, 8), np.float64)), {}

    def wrong_shape(self):
        shape = self.chance.choice([(1, 1, 9, 9), (1, 3, 8, 8), (64,), (1, 8, 8), ()])
        return WRONG, contract.MSGPACK, self.job_with("image", np.zeros(shape, np.float32)), {}

    def wrong_name(self):
        return WRONG, contract.MSGPACK, self.job_with("picture", np.zeros((1, 1, 8, 8), np.float32)), {}

    def bytes_for_numbers(self):
        return WRONG, contract.MSGPACK, contract.job(contract.byte_strings("image", [b"x"] * 64)), {}

    def an_image_too_early(self):
        return WRONG, "image/png", self.image(), {}

    def truncated(self):
        return self.truncated_msgpack()


class OutputKinds(ModelKinds):
    """What reaches the postprocessing without having come from the model."""

    def wrong_dtype(self):
        return WRONG, contract.MSGPACK, contract.job(contract.byte_strings("logits", [b"x"] * 10)), {}

    def wrong_shape(self):
        # No axis of classes, no classes in it, or more than there are labels.
        shape = self.chance.choice([(), (1, 0), (1, 11)])
        return [*WRONG, "model_error"], contract.MSGPACK, self.job_with("logits", np.zeros(shape, np.float32)), {}

    def wrong_name(self):
        return WRONG, contract.MSGPACK, self.job_with("scores", np.zeros((1, 10), np.float32)), {}

    def bytes_for_numbers(self):
        return self.wrong_dtype()


def kinds_of(kinds):
    """The attacks of a class: of the first one all, of the others those that they define themselves."""
    owner = type(kinds)
    helpers = {"image", "payload", "good_job", "with_tensor", "job_with"}
    names = [name for name in vars(owner) if not name.startswith("_") and name not in helpers]
    return [getattr(kinds, name) for name in names]


def headers_of(pipeline, content_type, id, changes):
    if changes is None:
        return []
    headers = [pair for pair in contract.job_headers(pipeline, content_type or "", id) if content_type or pair[0] != "content-type"]
    headers = [pair for pair in headers if pair[0] not in changes]
    return [*headers, *changes.items(), ("x-kept", b"\x00\xff"), ("x-null", None)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topics", required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--hostile", type=int, required=True)
    parser.add_argument("--good", type=int, required=True)
    parser.add_argument("--max-bytes", type=int, required=True, help="the pipeline's limit of a record")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0, help="records a second (0: as fast as it goes)")
    asked = parser.parse_args()

    chance = random.Random(asked.seed)
    paths = sorted(asked.images.glob("*.png"))
    images = [path.read_bytes() for path in paths]
    places = [("preprocess", Kinds), ("preprocess", Kinds), ("preprocess", Kinds), ("inference", ModelKinds), ("postprocess", OutputKinds)]
    attacks = [(stage, kinds_of(kind(images, asked.max_bytes, chance))) for stage, kind in places]
    order = [True] * asked.hostile + [False] * asked.good
    chance.shuffle(order)

    pipeline = asked.topics.rsplit(".", 1)[1]
    submitter = Submitter(asked.brokers)
    sent = {True: 0, False: 0}
    for hostile in order:
        number = sent[hostile]
        sent[hostile] += 1
        id = contract.uuid7()
        # Few keys, so that good and bad records lie side by side in one partition.
        key = chance.choice([None, b"a", b"b", b"\xff\x00", b""])
        if hostile:
            stage, kinds = attacks[number % len(attacks)]
            attack = kinds[number // len(attacks) % len(kinds)]
            codes, content_type, value, changes = attack()
            note = {"kind": f"{stage}: {attack.__name__}", "codes": codes, "image": None}
        else:
            stage, content_type, value, changes = "preprocess", "image/png", images[number % len(images)], {}
            note = {"kind": "good", "codes": [], "image": paths[number % len(paths)].name}
        headers = headers_of(pipeline, content_type, id, changes)
        # Where `ce_id` is missing or cannot be read, the record is known by its place.
        note["id"] = id if changes is not None and "ce_id" not in changes else None
        note |= {"stage": stage, "key": contract.shown(key), "original": contract.fingerprint(key, value, headers)}
        submitter.send(f"{asked.topics}.{stage}", key, value, headers, note)
        if asked.rate:
            submitter.producer.poll(1 / asked.rate)
    journal = submitter.finish()
    for note in journal:
        note["id"] = note["id"] or f"{note['topic']}/{note['partition']}/{note['offset']}"
    asked.journal.write_text(json.dumps(journal))
    kinds = {note["kind"] for note in journal if note["codes"]}
    print(f"submitted {sent[True]} hostile records of {len(kinds)} kinds among {sent[False]} good ones")


if __name__ == "__main__":
    main()
