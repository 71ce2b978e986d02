"""The jars of the broker: resolved once by Maven into target/kafka/libs, and taken from there ever after, offline too."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / "target" / "kafka"
LIBS = CACHE / "libs"


class JarsError(Exception):
    """Java or the jars are missing; the text says what to do."""


def java():
    """The `java` to run, of JAVA_HOME or of the PATH; Kafka 4 needs 17 or newer."""
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not command or not Path(command).exists():
        raise JarsError("there is no java here, and Kafka needs 17 or newer: run `make setup-tests`")
    told = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if not version or int(version[1]) < 17:
        raise JarsError(f"{command} is too old for Kafka, which needs 17 or newer: {told.splitlines()[:1]}")
    return command


def resolve():
    """Make sure that LIBS holds exactly the jars that pom.xml asks for, and return LIBS."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256((HERE / "pom.xml").read_bytes()).hexdigest()
    stamp = LIBS / "pom.sha256"
    with open(CACHE / "libs.lock", "w") as lock:
        # Tests start several clusters at once; the first one resolves, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return LIBS
        copy_dependencies(wanted)
    return LIBS


def copy_dependencies(wanted):
    maven = shutil.which("mvn")
    if not maven:
        raise JarsError("the jars of Kafka are not here yet and there is no mvn to fetch them: run `make setup-tests`")
    print("kafka: fetching the jars of Apache Kafka with Maven (once)", file=sys.stderr)
    fresh = CACHE / "libs.new"
    shutil.rmtree(fresh, ignore_errors=True)
    # --strict-checksums: a jar that arrives damaged is an error now and not a riddle later.
    command = [maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", str(HERE / "pom.xml")]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise JarsError(f"Maven could not fetch the jars of Kafka:\n{done.stdout.strip()}")
    (fresh / "pom.sha256").write_text(wanted)
    shutil.rmtree(LIBS, ignore_errors=True)
    fresh.rename(LIBS)
