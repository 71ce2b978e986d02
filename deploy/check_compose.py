"""Check docker-compose.yml and deploy/Dockerfile as far as that goes without a container engine.

What is looked at is what breaks silently when something else in the repository changes: files and folders that are
mounted or copied, services that wait for each other, the stages that run, and versions that are written in two places.
Where the compose plugin is installed, it reads the file as well.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[1]
STAGES = {"preprocess", "inference", "postprocess"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def compose_faults(compose):
    services = compose["services"]
    volumes = compose.get("volumes") or {}
    for name, service in services.items():
        yield from dependency_faults(name, service, services)
        yield from volume_faults(name, service, volumes)
        if "build" in service:
            yield from build_faults(name, service["build"])
        elif not re.fullmatch(r"[^:]+:\d[\w.-]*", service["image"]):
            yield f"{name}: the image {service['image']} names no version"
        if service.get("restart") == "unless-stopped" and "healthcheck" not in service:
            yield f"{name}: runs for ever and has no health check"
    yield from stage_faults(services)


def dependency_faults(name, service, services):
    for other, how in (service.get("depends_on") or {}).items():
        if other not in services:
            yield f"{name}: waits for {other}, which is not a service"
        elif how["condition"] not in CONDITIONS:
            yield f"{name}: waits for {other} to be {how['condition']}, which compose does not know"
        elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"{name}: waits for {other} to be healthy, and {other} has no health check"


def volume_faults(name, service, volumes):
    for volume in service.get("volumes") or ():
        source = volume.split(":")[0]
        if source.startswith("."):
            if not (TOP / source).exists():
                yield f"{name}: mounts {source}, which does not exist"
        elif source not in volumes:
            yield f"{name}: mounts the volume {source}, which is not declared"


def build_faults(name, build):
    if not (TOP / build["context"] / build["dockerfile"]).is_file():
        yield f"{name}: is built from {build['dockerfile']}, which does not exist"


def stage_faults(services):
    """Each stage has its worker, and a worker can be reached by the probe of its health check."""
    run = {}
    for name, service in services.items():
        command = service.get("command") or []
        if "worker" in command:
            for stage in command[command.index("--stage") + 1].split(","):
                run.setdefault(stage, []).append(name)
            if "--http" not in command or not command[command.index("--http") + 1].startswith("0.0.0.0:"):
                yield f"{name}: --http must listen on 0.0.0.0, or nothing outside the container reaches it"
    for stage in sorted(STAGES - run.keys()):
        yield f"no service runs the stage {stage}"
    for stage in sorted(run.keys() - STAGES):
        yield f"{run[stage][0]}: there is no stage {stage}"


def dockerfile_faults(text):
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        words = line.split()
        if any(word.startswith("--from=") for word in words):
            continue
        for source in [word for word in words if not word.startswith("--")][:-1]:
            if not (TOP / source).exists():
                yield f"deploy/Dockerfile copies {source}, which does not exist"
    members = re.search(r"members = \[(.*?)\]", (TOP / "Cargo.toml").read_text(), re.DOTALL)[1]
    for member in re.findall(r'"([^"]+)"', members):
        if not re.search(rf"^COPY {member} {member}$", text, re.MULTILINE):
            yield f"deploy/Dockerfile does not copy the workspace member {member}"
    if not re.search(r"^USER (?!0|root)", text, re.MULTILINE):
        yield "deploy/Dockerfile runs as root"


def version_faults(compose):
    """Versions that stand in two files."""
    image = compose["services"]["kafka"]["image"].split(":")[1]
    jars = re.search(r"<kafka.version>(.*?)<", (TOP / "deploy/kafka/pom.xml").read_text())[1]
    if image != jars:
        yield f"Kafka is {image} in docker-compose.yml and {jars} in deploy/kafka/pom.xml"
    pins = ["deploy/runtime/onnxruntime.txt", "deploy/python/requirements.txt", "models/digits/requirements.txt"]
    found = {pin: re.search(r"^onnxruntime==(\S+)", (TOP / pin).read_text(), re.MULTILINE)[1] for pin in pins}
    if len(set(found.values())) > 1:
        yield f"ONNX Runtime has several versions: {found}"


def plugin_faults():
    """What the compose plugin itself says, where there is one."""
    try:
        known = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    except OSError:
        known = False
    if not known:
        print("compose: the docker compose plugin is not installed, so only our own checks ran")
        return
    done = subprocess.run(["docker", "compose", "config", "--quiet"], cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"docker compose config: {done.stderr.strip()}"


def main():
    compose = yaml.safe_load((TOP / "docker-compose.yml").read_text())
    faults = [
        *compose_faults(compose),
        *dockerfile_faults((TOP / "deploy/Dockerfile").read_text()),
        *version_faults(compose),
        *plugin_faults(),
    ]
    for fault in faults:
        print(f"compose: {fault}", file=sys.stderr)
    if not faults:
        print(f"compose: {len(compose['services'])} services fit together")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
