"""Run the digits model with ONNX Runtime directly, and say what the pipeline must answer for each image.

    reference.py --model FOLDER --report FILE
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

TOP = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the folder with digits.onnx, labels.txt and images/")
    parser.add_argument("--report", type=Path, required=True)
    asked = parser.parse_args()

    paths = sorted((asked.model / "images").glob("*.png"))
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(np.asarray(image))
    batch = (np.stack(images)[:, None] / 255).astype(np.float32)
    session = onnxruntime.InferenceSession(asked.model / "digits.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": batch})
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    labels = (asked.model / "labels.txt").read_text().split()

    answers = {}
    for path, row in zip(paths, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:TOP]
        answers[path.name] = {"labels": [labels[i] for i in best], "scores": row[best].tolist()}
    digest = hashlib.sha256((asked.model / "digits.onnx").read_bytes()).hexdigest()
    asked.report.write_text(json.dumps({"answers": answers, "model_digest": digest}))
    print(f"{len(answers)} images through ONNX Runtime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
