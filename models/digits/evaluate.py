"""Run digits.onnx over the PNG files in images/ with ONNX Runtime, and say how many it reads rightly.

Nothing of the training is used here: what is measured is what is shipped.
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

HERE = Path(__file__).resolve().parent


@dataclass
class Evaluation:
    """What one pass over the held-out images found; `wrong` is (file, label, what the model said)."""

    count: int
    correct: int
    loss: float
    wrong: list

    @property
    def accuracy(self):
        return self.correct / self.count


def evaluate(folder=HERE):
    with open(folder / "images" / "labels.csv", newline="") as file:
        rows = [(row["file"], int(row["label"])) for row in csv.DictReader(file)]
    images = []
    for name, _ in rows:
        with Image.open(folder / "images" / name) as image:
            assert (image.mode, image.size) == ("L", (8, 8)), f"{name} is not an 8x8 grey image"
            images.append(np.asarray(image))
    batch = (np.stack(images)[:, None] / 255).astype(np.float32)

    session = onnxruntime.InferenceSession(folder / "digits.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": batch})

    labels = np.array([label for _, label in rows])
    said = logits.argmax(axis=1)
    top = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    loss = float((log_sum - logits[np.arange(len(labels)), labels]).mean())
    wrong = [(name, label, int(answer)) for (name, label), answer in zip(rows, said) if label != answer]
    return Evaluation(len(labels), len(labels) - len(wrong), loss, wrong)


def main():
    parser = argparse.ArgumentParser(description="Measure the shipped model on the shipped images.")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="ACCURACY", help="fail below this, say 0.98")
    arguments = parser.parse_args()
    result = evaluate()
    print(f"accuracy {result.accuracy:.1%} ({result.correct} of {result.count}), loss {result.loss:.4f}")
    for name, label, answer in result.wrong:
        print(f"{name}: is {label}, read as {answer}")
    return 0 if result.accuracy >= arguments.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
