"""A real Apache Kafka on this machine: one node, or a cluster of three, in the background, in a folder of its own.

    kafka.sh start [--nodes 1|3] [--secure] [--advertise HOST:PORT,...] [--dir DIR] [--until-exit-of PID]
                                                                prints the bootstrap servers
    kafka.sh env | status | stop        [--dir DIR]
    kafka.sh node-kill | node-stop | node-start N [--dir DIR]                   the outage of one broker, on the same port

Every instance has its own folder (data, logs, ports), so any number run side by side. Only processes that this script
started are ever ended, and only after a look at whether the process behind the recorded id is still that broker.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import certificates
import jars
import ports
import probe
from settings import HOST, MTLS, PLAINTEXT, PORTS_PER_NODE, PROXIED, SASL, USER, properties

HERE = Path(__file__).resolve().parent
DEFAULT_DIR = HERE.parents[1] / "target" / "kafka" / "default"


class KafkaError(Exception):
    """What went wrong, in a sentence for whoever typed the command."""


class Cluster:
    """One instance: its folder, and what `start` noted there in cluster.json."""

    def __init__(self, folder):
        self.folder = folder
        self.note = folder / "cluster.json"
        if not self.note.exists():
            raise KafkaError(f"no Kafka was started in {folder}")
        facts = json.loads(self.note.read_text())
        self.id, self.ports, self.secure, self.password = facts["id"], facts["ports"], facts["secure"], facts["password"]
        self.advertise = facts["advertise"]
        self.nodes = range(1, len(self.ports) // PORTS_PER_NODE + 1)

    @classmethod
    def create(cls, folder, nodes, secure, advertise):
        folder.mkdir(parents=True, exist_ok=True)
        taken = ports.reserve(folder, nodes * PORTS_PER_NODE)
        facts = {"id": cluster_id(), "ports": taken, "secure": secure, "password": secrets.token_hex(8)}
        facts["advertise"] = advertise
        (folder / "cluster.json").write_text(json.dumps(facts))
        cluster = cls(folder)
        if secure:
            certificates.create(folder / "certificates")
        for node in cluster.nodes:
            cluster.node_folder(node).mkdir()
            cluster.properties(node).write_text(properties(cluster, node))
        return cluster

    def node_folder(self, node):
        return self.folder / f"node-{node}"

    def properties(self, node):
        return self.node_folder(node) / "server.properties"

    def log(self, node):
        return self.node_folder(node) / "broker.log"

    def port(self, node, listener):
        return self.ports[(node - 1) * PORTS_PER_NODE + listener]

    def bootstrap(self, listener):
        return ",".join(f"{HOST}:{self.port(node, listener)}" for node in self.nodes)

    def running(self):
        return [node for node in self.nodes if self.pid(node) is not None]

    def pid(self, node):
        """The process id of a node that runs, else None. The id in the file may since have gone to a stranger."""
        try:
            pid = int((self.node_folder(node) / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self.properties(node)) in command_line(pid) else None

    def launch(self, node):
        command = [jars.java(), "-Xms256m", "-Xmx768m", "-Djava.awt.headless=true"]
        command += [f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}", "-cp", f"{jars.LIBS}/*"]
        command += ["kafka.Kafka", str(self.properties(node))]
        with open(self.log(node), "ab") as log:
            # A session of its own: Ctrl-C in the terminal that started it is not meant for the broker.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        (self.node_folder(node) / "pid").write_text(str(process.pid))
        return process

    def format_storage(self):
        """Give every node its empty, labelled data folder; all at once, a JVM takes about a second to come up."""
        users = ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={self.password}]"] if self.secure else []
        started = []
        for node in self.nodes:
            command = [jars.java(), "-XX:TieredStopAtLevel=1", "-cp", f"{jars.LIBS}/*", "kafka.tools.StorageTool"]
            command += ["format", "-t", self.id, "-c", str(self.properties(node)), *users]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        for process in started:
            told, _ = process.communicate()
            if process.returncode != 0:
                raise KafkaError(f"the storage could not be formatted:\n{told.strip()}")

    def wait_until_ready(self, nodes, expect, deadline, processes):
        """Wait until each of `nodes` answers and sees all of `expect` alive."""
        for node in nodes:
            while not expect <= probe.live_brokers(HOST, self.port(node, PLAINTEXT)):
                exited = processes[node].poll()
                if exited is not None:
                    raise KafkaError(f"node {node} ended with status {exited} while starting{self.tail(node)}")
                if time.monotonic() > deadline:
                    raise KafkaError(f"node {node} was not ready in time{self.tail(node)}")
                time.sleep(0.1)

    def tail(self, node):
        lines = self.log(node).read_text(errors="replace").splitlines()[-15:]
        return f"; the end of {self.log(node)}:\n" + "\n".join(lines)

    def end(self, node, how, deadline):
        """Send `how` to a node and wait until it is gone; whether it was running at all."""
        pid = self.pid(node)
        if pid is None:
            return False
        os.kill(pid, how)
        while self.pid(node) is not None:
            if time.monotonic() > deadline:
                raise KafkaError(f"node {node} (process {pid}) is still there after {how.name}{self.tail(node)}")
            time.sleep(0.05)
        return True

    def remove(self):
        """End every node, and take away the folder and the reservation of the ports."""
        for node in self.nodes:
            # Not a clean stop: the data go with it, and a quorum that stops together would wait for itself.
            self.end(node, signal.SIGKILL, time.monotonic() + 30)
        ports.release(self.ports[0])
        shutil.rmtree(self.folder)

    def environment(self):
        values = {"MILLSTREAM_TEST_BROKERS": self.bootstrap(PLAINTEXT)}
        if self.advertise:
            values["MILLSTREAM_TEST_BEHIND_PROXIES"] = self.bootstrap(PROXIED)
        if self.secure:
            folder = self.folder / "certificates"
            values |= {
                "MILLSTREAM_TEST_SASL_BROKERS": self.bootstrap(SASL),
                "MILLSTREAM_TEST_MTLS_BROKERS": self.bootstrap(MTLS),
                "MILLSTREAM_TEST_CA_FILE": folder / "ca.pem",
                "MILLSTREAM_TEST_CERTIFICATE_FILE": folder / "client.pem",
                "MILLSTREAM_TEST_KEY_FILE": folder / "client.key",
                "MILLSTREAM_TEST_ENCRYPTED_KEY_FILE": folder / "client-encrypted.key",
                "MILLSTREAM_TEST_KEY_PASSWORD": certificates.KEY_PASSWORD,
                "MILLSTREAM_TEST_USERNAME": USER,
                "MILLSTREAM_TEST_PASSWORD": self.password,
            }
        return "".join(f"{name}={value}\n" for name, value in values.items())


def cluster_id():
    """22 characters of base64url, not starting with the dash that the storage tool would take for an option."""
    return "m" + secrets.token_urlsafe(16)[:21]


def command_line(pid):
    """What process `pid` was started with; empty when it is gone (or a zombie)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def start(folder, arguments):
    if (folder / "cluster.json").exists():
        cluster = Cluster(folder)
        if cluster.running():
            raise KafkaError(f"a Kafka already runs in {folder}: `kafka.sh stop --dir {folder}`, or choose another folder")
        cluster.remove()
    elif folder.exists() and any(folder.iterdir()):
        raise KafkaError(f"{folder} is not empty and holds no Kafka of ours: choose another folder")
    advertise = arguments.advertise.split(",") if arguments.advertise else []
    if advertise and len(advertise) != arguments.nodes:
        raise KafkaError(f"--advertise names {len(advertise)} addresses for {arguments.nodes} nodes: give one for each, in their order")
    jars.java()
    jars.resolve()
    cluster = Cluster.create(folder, arguments.nodes, arguments.secure, advertise)
    try:
        cluster.format_storage()
        processes = {node: cluster.launch(node) for node in cluster.nodes}
        cluster.wait_until_ready(cluster.nodes, set(cluster.nodes), time.monotonic() + arguments.timeout, processes)
    except BaseException:
        for node in cluster.nodes:
            cluster.end(node, signal.SIGKILL, time.monotonic() + 30)
        raise
    (folder / "kafka.env").write_text(cluster.environment())
    if arguments.until_exit_of:
        watch_in_background(folder, arguments.until_exit_of)
    print(cluster.bootstrap(PLAINTEXT))


def watch_in_background(folder, pid):
    command = [sys.executable, str(HERE / "kafka.py"), "watch", str(pid), "--dir", str(folder)]
    subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def watch(folder, arguments):
    """Stop the cluster once the process that asked for it is gone, so that an aborted test run leaves nothing behind."""
    cluster_id_then = Cluster(folder).id
    while command_line(arguments.pid):
        if not (folder / "cluster.json").exists():
            return
        time.sleep(1)
    if Cluster(folder).id == cluster_id_then:
        Cluster(folder).remove()


def stop(folder, _arguments):
    if (folder / "cluster.json").exists():
        Cluster(folder).remove()


def env(folder, _arguments):
    print(Cluster(folder).environment(), end="")


def status(folder, _arguments):
    cluster = Cluster(folder)
    for node in cluster.nodes:
        pid = cluster.pid(node)
        seen = sorted(probe.live_brokers(HOST, cluster.port(node, PLAINTEXT))) if pid else []
        state = f"process {pid}, sees brokers {seen}" if pid else "not running"
        print(f"node {node} at {HOST}:{cluster.port(node, PLAINTEXT)}: {state}")
    if len(cluster.running()) < len(cluster.nodes):
        raise KafkaError(f"{len(cluster.running())} of {len(cluster.nodes)} nodes run")


def node_start(folder, arguments):
    cluster = one_of(Cluster(folder), arguments.node)
    if cluster.pid(arguments.node) is None:
        process = cluster.launch(arguments.node)
        deadline = time.monotonic() + arguments.timeout
        cluster.wait_until_ready([arguments.node], {arguments.node}, deadline, {arguments.node: process})


def node_stop(folder, arguments):
    one_of(Cluster(folder), arguments.node).end(arguments.node, signal.SIGTERM, time.monotonic() + arguments.timeout)


def node_kill(folder, arguments):
    one_of(Cluster(folder), arguments.node).end(arguments.node, signal.SIGKILL, time.monotonic() + arguments.timeout)


def one_of(cluster, node):
    if node not in cluster.nodes:
        raise KafkaError(f"there is no node {node}, only 1 to {len(cluster.nodes)}")
    return cluster


def read_arguments():
    parser = argparse.ArgumentParser(prog="kafka.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="folder of this instance (default: target/kafka/default)")
    common.add_argument("--timeout", type=float, default=60, help="seconds to wait for it to be done (default: 60)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, text):
        added = commands.add_parser(name, parents=[common], help=text, description=text)
        added.set_defaults(run=run)
        return added

    starting = command("start", start, "start nodes in the background, wait until they serve, print the bootstrap servers")
    starting.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="1, or 3 with replication 3 (default: 1)")
    starting.add_argument("--secure", action="store_true", help="also listen with SASL over TLS and with mutual TLS; see `env`")
    starting.add_argument(
        "--advertise", metavar="HOST:PORT,...",
        help="one more listener on each node, whose clients are sent to these addresses, where a proxy is to be; `env` tells its own",
    )  # fmt: skip
    starting.add_argument("--until-exit-of", type=int, metavar="PID", help="stop by itself once that process is gone")
    command("stop", stop, "end every node of the instance and remove its folder")
    command("status", status, "say which nodes run and which brokers each sees; fails unless all run")
    command("env", env, "print addresses and credentials as NAME=value lines (also in DIR/kafka.env)")
    command("node-start", node_start, "start one node again, on its old port with its old data").add_argument("node", type=int)
    command("node-stop", node_stop, "stop one node in good order (SIGTERM)").add_argument("node", type=int)
    command("node-kill", node_kill, "kill one node (SIGKILL)").add_argument("node", type=int)
    command("watch", watch, "used by start --until-exit-of").add_argument("pid", type=int)
    command("jars", lambda _folder, _arguments: jars.resolve(), "fetch the jars if they are not here yet, and nothing else")
    return parser.parse_args()


def main():
    arguments = read_arguments()
    try:
        arguments.run(arguments.dir.resolve(), arguments)
    except (KafkaError, jars.JarsError, OSError) as error:
        print(f"kafka: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
