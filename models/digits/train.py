"""Train the digits network, export it to ONNX, and write the held-out images and the figures in README.md.

The network is small enough to be written out in numpy, forward and backward, so the training needs no framework. Every
random choice is drawn from one seeded generator and the linear algebra runs on one thread: the same versions on the same
kind of processor give the same file, byte for byte. README.md says what to type.
"""

import os

# Before numpy is loaded: sums over several threads end in a different last bit each time.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import csv
import hashlib
import shutil
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evaluate

HERE = Path(__file__).resolve().parent
SEED = 20
HELD_OUT = 500
EPOCHS = 60
BATCH = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4
DROPOUT = 0.3
# One pixel of eight is a large shift. Half of the images untouched was best in a cross-validation within the training
# part (9 errors in 1,297, against 12 with every image shifted); the held-out images had no say in any of these numbers.
SHIFTED = 0.5


def grey_pixels():
    """The data set as the 8-bit grey values that the PNG files hold, and its labels."""
    digits = load_digits()
    return np.rint(digits.images * 255 / 16).astype(np.uint8), digits.target


def shifted(images, rng):
    """Some of the images moved by up to one pixel either way; what enters at the border is background."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    steps = rng.integers(-1, 2, size=(2, len(images))) * (rng.random(len(images)) < SHIFTED)
    rows, columns = steps + 1
    return np.stack([p[:, r : r + 8, c : c + 8] for p, r, c in zip(padded, rows, columns)])


def patches(x):
    """The 3x3 neighbourhood of every pixel: [batch, channels, 8, 8] -> [batch * 64, channels * 9]."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * 9)


def unpatched(gradient, batch, channels):
    """The transpose of `patches`: every neighbourhood's share added back to its pixels."""
    windows = gradient.reshape(batch, 8, 8, channels, 3, 3)
    padded = np.zeros((batch, channels, 10, 10), dtype=gradient.dtype)
    for row in range(3):
        for column in range(3):
            padded[:, :, row : row + 8, column : column + 8] += windows[..., row, column].transpose(0, 3, 1, 2)
    return padded[:, :, 1:9, 1:9]


class Network:
    """conv 3x3 (16) - relu - conv 3x3 (32) - relu - max-pool 2x2 - dense (64) - relu - dense (10)."""

    SHAPES = {
        "conv1.weight": (16, 1, 3, 3),
        "conv1.bias": (16,),
        "conv2.weight": (32, 16, 3, 3),
        "conv2.bias": (32,),
        "dense1.weight": (64, 512),
        "dense1.bias": (64,),
        "dense2.weight": (10, 64),
        "dense2.bias": (10,),
    }

    def __init__(self, rng):
        self.weights = {}
        for name, shape in self.SHAPES.items():
            # He initialisation: keeps the variance of the activations through relu layers.
            spread = np.sqrt(2 / np.prod(shape[1:])) if name.endswith("weight") else 0.0
            self.weights[name] = (rng.standard_normal(shape) * spread).astype(np.float32)

    def convolve(self, layer, x):
        columns = patches(x)
        weight = self.weights[f"{layer}.weight"]
        y = columns @ weight.reshape(len(weight), -1).T + self.weights[f"{layer}.bias"]
        return columns, y.reshape(len(x), 8, 8, -1).transpose(0, 3, 1, 2)

    def loss_and_gradients(self, x, labels, rng):
        """Mean cross-entropy of one batch, and its gradient for every weight."""
        w, batch, gradients = self.weights, len(x), {}

        columns1, y1 = self.convolve("conv1", x)
        a1 = np.maximum(y1, 0)
        columns2, y2 = self.convolve("conv2", a1)
        a2 = np.maximum(y2, 0)
        quads = a2.reshape(batch, 32, 4, 2, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(batch, 32, 4, 4, 4)
        winners = quads.argmax(axis=-1)[..., None]
        flat = np.take_along_axis(quads, winners, axis=-1).reshape(batch, 512)
        y3 = flat @ w["dense1.weight"].T + w["dense1.bias"]
        keep = (rng.random(y3.shape) >= DROPOUT).astype(np.float32) / (1 - DROPOUT)
        a3 = np.maximum(y3, 0) * keep
        logits = a3 @ w["dense2.weight"].T + w["dense2.bias"]

        shifted_logits = logits - logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted_logits).sum(axis=1, keepdims=True))
        log_probabilities = shifted_logits - log_sum
        loss = -log_probabilities[np.arange(batch), labels].mean()

        d_logits = np.exp(log_probabilities)
        d_logits[np.arange(batch), labels] -= 1
        d_logits /= batch
        gradients["dense2.weight"] = d_logits.T @ a3
        gradients["dense2.bias"] = d_logits.sum(axis=0)
        d_y3 = (d_logits @ w["dense2.weight"]) * keep * (y3 > 0)
        gradients["dense1.weight"] = d_y3.T @ flat
        gradients["dense1.bias"] = d_y3.sum(axis=0)
        d_quads = np.zeros_like(quads)
        np.put_along_axis(d_quads, winners, (d_y3 @ w["dense1.weight"]).reshape(batch, 32, 4, 4, 1), axis=-1)
        d_a2 = d_quads.reshape(batch, 32, 4, 4, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(batch, 32, 8, 8)
        d_y2 = (d_a2 * (y2 > 0)).transpose(0, 2, 3, 1).reshape(-1, 32)
        gradients["conv2.weight"] = (d_y2.T @ columns2).reshape(w["conv2.weight"].shape)
        gradients["conv2.bias"] = d_y2.sum(axis=0)
        d_a1 = unpatched(d_y2 @ w["conv2.weight"].reshape(32, -1), batch, 16)
        d_y1 = (d_a1 * (y1 > 0)).transpose(0, 2, 3, 1).reshape(-1, 16)
        gradients["conv1.weight"] = (d_y1.T @ columns1).reshape(w["conv1.weight"].shape)
        gradients["conv1.bias"] = d_y1.sum(axis=0)
        return loss, gradients


class Adam:
    """Adam with decoupled weight decay (AdamW)."""

    def __init__(self, weights):
        self.first = {name: np.zeros_like(w) for name, w in weights.items()}
        self.second = {name: np.zeros_like(w) for name, w in weights.items()}
        self.steps = 0

    def step(self, weights, gradients, rate):
        self.steps += 1
        for name, gradient in gradients.items():
            self.first[name] = 0.9 * self.first[name] + 0.1 * gradient
            self.second[name] = 0.999 * self.second[name] + 0.001 * gradient**2
            first = self.first[name] / (1 - 0.9**self.steps)
            second = self.second[name] / (1 - 0.999**self.steps)
            decay = WEIGHT_DECAY * weights[name] if name.endswith("weight") else 0
            weights[name] -= (rate * (first / (np.sqrt(second) + 1e-8) + decay)).astype(np.float32)


def train(images, labels, rng):
    """The trained network and the mean loss of its last epoch."""
    network = Network(rng)
    adam = Adam(network.weights)
    for epoch in range(EPOCHS):
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(images))
        losses = []
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            loss, gradients = network.loss_and_gradients(shifted(images[chosen], rng), labels[chosen], rng)
            adam.step(network.weights, gradients, rate)
            losses.append(loss)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    return network, float(np.mean(losses))


def export(network, path):
    """Write the network as ONNX, with a free batch dimension. Opset 17 is read by every ONNX Runtime since 1.12."""
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Conv", ["relu1", "conv2.weight", "conv2.bias"], ["conv2"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("MaxPool", ["relu2"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "dense1.weight", "dense1.bias"], ["dense1"], transB=1),
        helper.make_node("Relu", ["dense1"], ["relu3"]),
        helper.make_node("Gemm", ["relu3", "dense2.weight", "dense2.bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(weight, name) for name, weight in network.weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="millstream"
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def write_images(images, labels, folder):
    """The held-out images as 8-bit grey PNG files, and their labels beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with open(folder / "labels.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "label"])
        for index, (image, label) in enumerate(zip(images, labels)):
            name = f"{index:04}.png"
            Image.fromarray(image).save(folder / name)
            rows.writerow([name, label])


def write_figures(readme, figures):
    """Replace the table between the two markers of the README."""
    start, end = "<!-- figures of the last run of train.py -->\n", "<!-- end of figures -->\n"
    before, rest = readme.read_text().split(start)
    after = rest.split(end)[1]
    rows = "".join(f"| {name} | {value} |\n" for name, value in figures.items())
    readme.write_text(f"{before}{start}| figure | value |\n| --- | --- |\n{rows}{end}{after}")


def main():
    began = time.monotonic()
    rng = np.random.default_rng(SEED)
    pixels, labels = grey_pixels()
    train_pixels, held_out_pixels, train_labels, held_out_labels = train_test_split(
        pixels, labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    network, loss = train((train_pixels / 255).astype(np.float32)[:, None], train_labels, rng)

    path = HERE / "digits.onnx"
    export(network, path)
    write_images(held_out_pixels, held_out_labels, HERE / "images")
    (HERE / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))

    result = evaluate.evaluate()
    figures = {
        "images trained on": len(train_labels),
        "images held out": len(held_out_labels),
        "weights": sum(w.size for w in network.weights.values()),
        "training loss, last epoch (with dropout and shifts)": f"{loss:.4f}",
        "held-out loss": f"{result.loss:.4f}",
        "held-out accuracy": f"{result.accuracy:.1%} ({result.correct} of {result.count})",
        "size of `digits.onnx`": f"{path.stat().st_size:,} bytes",
        "sha256 of `digits.onnx`": f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`",
    }
    write_figures(HERE / "README.md", figures)
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
