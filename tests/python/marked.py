"""Submit records that carry a marker wherever a producer's own data can stand, good and failing ones, for a search in the logs.

    marked.py --brokers B --topics PREFIX.PIPELINE --image FILE --marker TEXT
"""

import argparse
import json
from pathlib import Path

import numpy as np

import contract
from clients import Submitter


def bodies(image, marker):
    """(content type, value) of each record, the good one first."""
    text = marker.encode()
    bytes_tensor = contract.byte_strings("payload", [text])
    whole = contract.job(bytes_tensor)
    # A chunk of text behind the last one is ignored by every decoder of PNG.
    yield "image/png", image + text
    yield "image/png", image[:40] + text
    yield "text/plain", text
    yield None, text
    yield contract.MSGPACK, text
    yield contract.MSGPACK, whole
    yield contract.MSGPACK, whole[:-3]
    yield contract.MSGPACK, whole + text
    yield contract.MSGPACK, contract.job(bytes_tensor | {"shape": marker})
    yield contract.MSGPACK, contract.job(contract.tensor("payload", np.frombuffer(text, np.uint8)))
    yield contract.MSGPACK, contract.job(contract.byte_strings("payload", [image]), parameters={"note": marker})
    yield contract.JSON, json.dumps(marker).encode()
    yield contract.JSON, json.dumps({"inputs": marker}).encode()
    yield contract.JSON, json.dumps({"inputs": [{"name": "payload", "datatype": "BYTES", "shape": [1], "data": [marker]}]}).encode()
    yield contract.JSON, json.dumps({"inputs": [{"name": "payload", "datatype": "FP32", "shape": [1], "data": [marker]}]}).encode()
    yield contract.JSON, json.dumps({"inputs": [{"name": "payload", "datatype": "FP32", "shape": [1], "data": marker}]}).encode()
    yield contract.JSON, f'{{"inputs": [{marker}'.encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topics", required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--marker", required=True)
    asked = parser.parse_args()

    pipeline = asked.topics.rsplit(".", 1)[1]
    submitter = Submitter(asked.brokers)
    for content_type, value in bodies(asked.image.read_bytes(), asked.marker):
        headers = contract.job_headers(pipeline, content_type or "", contract.uuid7())
        if content_type is None:
            headers = [pair for pair in headers if pair[0] != "content-type"]
        submitter.send(f"{asked.topics}.preprocess", None, value, headers, {"kind": content_type})
    print(len(submitter.finish()))


if __name__ == "__main__":
    main()
