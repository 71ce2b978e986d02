"""Fetch ONNX Runtime into target/lib/millstream, where the binary, the tests and .cargo/config.toml look for it.

Microsoft ships the library inside its Python wheel. pip fetches that wheel from wherever it fetches everything, checks
it against the checksum in onnxruntime.txt, and what is taken out is the library and its licences: nothing is installed
into any Python, and no Python is needed to run it.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = HERE / "onnxruntime.txt"
TARGET = HERE.parents[1] / "target" / "lib" / "millstream"
LICENCES = ("LICENSE", "ThirdPartyNotices.txt")


class InstallError(Exception):
    """Why there is no library, and what to do."""


def main():
    version = re.search(r"^onnxruntime==(\S+)", PINS.read_text(), re.MULTILINE)[1]
    library = TARGET / f"libonnxruntime.so.{version}"
    stamp = TARGET / "installed.txt"
    wanted = f"{hashlib.sha256(PINS.read_bytes()).hexdigest()} {platform.machine()}\n"
    if stamp.exists() and stamp.read_text() == wanted and library.exists():
        stamp.touch()
        return
    architecture = platform.machine()
    if sys.platform != "linux" or architecture not in ("x86_64", "aarch64"):
        raise InstallError(
            f"no checksum is pinned for {sys.platform} on {architecture}: install ONNX Runtime {version} "
            "and set ORT_DYLIB_PATH to its library"
        )
    print(f"fetching ONNX Runtime {version} for {architecture}", file=sys.stderr)
    TARGET.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET) as scratch:
        unpack(download(architecture, Path(scratch)), library.name, Path(scratch))
    link = TARGET / "libonnxruntime.so"
    link.unlink(missing_ok=True)
    link.symlink_to(library.name)
    stamp.write_text(wanted)


def download(architecture, folder):
    """The wheel, checked by pip against the pinned checksums; for this platform, whatever Python runs here."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(PINS), "--dest", str(folder), "--only-binary", ":all:"]
    command += ["--platform", f"manylinux_2_28_{architecture}", "--implementation", "cp"]
    command += ["--python-version", "3.12", "--abi", "cp312"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise InstallError(f"pip could not fetch ONNX Runtime:\n{done.stdout.strip()}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(wheel, library, scratch):
    """Take the library and the licences out, each moved into place whole, so that nobody ever loads half a file."""
    with zipfile.ZipFile(wheel) as archive:
        for member in (f"capi/{library}", *LICENCES):
            name = Path(member).name
            with archive.open(f"onnxruntime/{member}") as source, open(scratch / name, "wb") as copy:
                shutil.copyfileobj(source, copy)
            place = name if name == library else f"onnxruntime-{name}"
            os.replace(scratch / name, TARGET / place)


if __name__ == "__main__":
    try:
        main()
    except (InstallError, OSError, KeyError, zipfile.BadZipFile) as error:
        print(f"onnxruntime: {error}", file=sys.stderr)
        sys.exit(1)
