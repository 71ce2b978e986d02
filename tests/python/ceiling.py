"""How fast ONNX Runtime alone is: the digits model on images that are tensors already, 64 at a time, one thread.

    ceiling.py --model FOLDER --seconds S       prints images, seconds and CPU-seconds as JSON
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

BATCH = 64


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the folder with digits.onnx and images/")
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()

    images = []
    for path in sorted((asked.model / "images").glob("*.png")):
        with Image.open(path) as image:
            images.append(np.asarray(image))
    tensors = (np.stack(images)[:, None] / 255).astype(np.float32)
    batches = [tensors[start : start + BATCH] for start in range(0, len(tensors) - BATCH + 1, BATCH)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(asked.model / "digits.onnx", options, providers=["CPUExecutionProvider"])
    for batch in batches:
        session.run(["logits"], {"image": batch})

    count = 0
    start, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < asked.seconds:
        for batch in batches:
            session.run(["logits"], {"image": batch})
            count += len(batch)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - used
    print(json.dumps({"images": count, "seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    main()
