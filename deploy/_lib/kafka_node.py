"""One Kafka node: its files, its disk, its process."""

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import process as processes
from .account import Account, server_environment
from .cli import say
from .errors import DeployError
from .home import Home
from .ports import LOOPBACK
from .process import Process

# Small and steady rather than fast to start: serial collection suits two cores, and the compiler
# stays whole because figures are measured on this broker.
_JVM = (
    "-XX:+UseSerialGC",
    "-XX:MaxDirectMemorySize=128m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Xss512k",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)
# Three nodes that stop together were seen to need 7 s.
_STOP_GRACE_S = 30


@dataclass(frozen=True)
class Runtime:
    """What a node runs with."""

    java: Path
    libs: Path
    account: Account
    heap_mb: int

    def command(
        self, main_class: str, *arguments: str | Path, jvm: Sequence[str] = ()
    ) -> list[str]:
        """Return the command line of one of Kafka's main classes."""
        start = [
            str(self.java),
            f"-Xms{min(256, self.heap_mb)}m",
            f"-Xmx{self.heap_mb}m",
            *_JVM,
            *jvm,
        ]
        return [*start, "-cp", f"{self.libs}/*", main_class, *map(str, arguments)]


@dataclass(frozen=True)
class Node:
    """One node of the cluster in `home`, numbered from 1."""

    home: Path
    number: int
    client_port: int
    controller_port: int

    @property
    def folder(self) -> Path:
        return self.home / f"node-{self.number}"

    @property
    def log(self) -> Path:
        return self.folder / "kafka.log"

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def pid_file(self) -> Path:
        return self.folder / "kafka.pid"

    def process(self) -> Process | None:
        """Return the running process, or None."""
        return processes.find(self.pid_file)

    def report(self) -> dict[str, Any]:
        """Return what `--json` says of this node."""
        process = self.process()
        return {
            "node": self.number,
            "running": process is not None,
            "pid": None if process is None else process.pid,
            "address": f"{LOOPBACK}:{self.client_port}",
            "log": str(self.log),
        }

    def configure(self, home: Home, cluster: Sequence["Node"], account: Account) -> None:
        """Write the node's settings; its data folder is made if it is not there."""
        replication = len(cluster)
        voters = ",".join(f"{node.number}@{LOOPBACK}:{node.controller_port}" for node in cluster)
        self.folder.mkdir(exist_ok=True)
        values = {
            "node_id": self.number,
            "client_port": self.client_port,
            "controller_port": self.controller_port,
            "voters": voters,
            "data_dir": home.folder(f"node-{self.number}/data", account),
            "replication": replication,
            "min_isr": 1 if replication == 1 else 2,
        }
        home.render("kafka-server.properties", self.properties, values)
        home.render("kafka-log4j2.properties", self.folder / "log4j2.properties", {})

    def start(self, runtime: Runtime) -> None:
        """Start the process; returns before it is ready."""
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        processes.start(
            runtime.command("kafka.Kafka", self.properties, jvm=[logging]),
            account=runtime.account,
            environment=server_environment(self.folder),
            log=self.log,
            pid_file=self.pid_file,
        )

    def require_alive(self) -> None:
        """Raise DeployError with the end of the log when the process has ended."""
        if self.process() is None:
            raise DeployError(f"node {self.number} ended while starting{processes.tail(self.log)}")


def stop_all(nodes: Sequence[Node]) -> None:
    """Stop all these nodes at one moment, and kill what has not ended in time.

    At one moment, because a last node that is stopped alone waits minutes for a quorum that is
    gone.
    """
    running = [process for node in nodes if (process := node.process()) is not None]
    for process in processes.stop(running, signal.SIGTERM, _STOP_GRACE_S):
        say(
            "kafka",
            f"process {process.pid} did not stop in {_STOP_GRACE_S} s and was killed; "
            "it mends itself at start",
        )


def format_disks(nodes: Sequence[Node], cluster_id: str, runtime: Runtime) -> None:
    """Write the cluster id to the disk of every node that has none yet, all at once.

    Raises:
        DeployError: Kafka's tool refused; its answer is in the message.
    """
    fresh = [node for node in nodes if not (node.folder / "data" / "meta.properties").exists()]
    if not fresh:
        return
    say("kafka", f"formatting the disk of node {', '.join(str(node.number) for node in fresh)}")
    tools = [
        subprocess.Popen(
            runtime.command(
                "kafka.tools.StorageTool",
                *("format", "--ignore-formatted", "-t", cluster_id, "-c", node.properties),
                jvm=[
                    "-XX:TieredStopAtLevel=1",
                    f"-Dlog4j2.configurationFile={node.folder / 'log4j2.properties'}",
                ],
            ),
            cwd=node.folder,
            env=server_environment(node.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **runtime.account.popen_options(),
        )
        for node in fresh
    ]
    answers = [tool.communicate()[0] for tool in tools]
    for node, tool, answer in zip(fresh, tools, answers, strict=True):
        if tool.returncode != 0:
            raise DeployError(
                f"Kafka's StorageTool could not format the disk of node {node.number}:\n{answer}"
            )
