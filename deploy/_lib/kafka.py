"""`deploy/kafka`: Apache Kafka in KRaft mode, one node or three."""

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import account as accounts
from . import cli, java, kafka_node, ports
from . import process as processes
from .cli import Options, Outcome, say
from .errors import DeployError
from .home import Home
from .kafka_node import Node
from .kafka_probe import Cluster, NotReadyError, describe, require_usable
from .waiting import require

_EXAMPLE = """\
  deploy/kafka up                   # one node; prints its bootstrap address, as 127.0.0.1:18245
  deploy/kafka up --nodes 3         # three nodes, replication 3, min.insync.replicas 2
  deploy/kafka kill --node 2        # kill -9, for a fault test
  deploy/kafka start --node 2
  deploy/kafka status --json
  deploy/kafka down --wipe          # stop, and forget topics and data"""

# One broker of three gets less: three of them and their clients share one machine.
_HEAP_MB = {1: 512, 3: 384}


@dataclass
class _Kafka:
    """One cluster on this machine: its home, what is remembered of it, and its nodes."""

    home: Home
    state: dict[str, Any]

    @property
    def nodes(self) -> list[Node]:
        return [
            Node(self.home.path, number, *pair)
            for number, pair in enumerate(self.state.get("ports", []), 1)
        ]

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.process() is not None]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{ports.LOOPBACK}:{node.client_port}" for node in self.nodes)

    def node(self, number: int) -> Node:
        for node in self.nodes:
            if node.number == number:
                return node
        raise DeployError(
            f"no node {number}: expected one of 1..{len(self.nodes)}, see `deploy/kafka status`"
        )

    def probe(self, nodes: Sequence[Node], brokers: int) -> str | None:
        """Return why a node is not ready, knowing `brokers` brokers; raise if one has ended."""
        for node in nodes:
            node.require_alive()
            try:
                known = describe(node.client_port)
                if len(known.brokers) < brokers:
                    return f"node {node.number} sees {len(known.brokers)} of {brokers} brokers"
                require_usable(node.client_port, brokers)
            except NotReadyError as exc:
                return f"node {node.number}: {exc}"
        return None

    def outcome(self) -> Outcome:
        """Return what can be said of the cluster now, asked of the first node that answers."""
        cluster, reason = _first_answer(self.running)
        stopped = [node.number for node in self.nodes if node.process() is None]
        line = self.bootstrap
        if cluster is None:
            line = f"not running: {reason}" if self.nodes else "not running: never started"
        elif stopped:
            line += f" (stopped: node {', '.join(map(str, stopped))})"
        data: dict[str, Any] = {"running": cluster is not None, "address": self.bootstrap}
        data["nodes"] = [node.report() for node in self.nodes]
        data["directory"] = str(self.home.path)
        if cluster is not None:
            data["under_replicated"] = cluster.under_replicated
            data["leaderless"] = cluster.leaderless
        return Outcome(ok=cluster is not None, line=line, data=data)


def _first_answer(nodes: Sequence[Node]) -> tuple[Cluster | None, str]:
    reason = "no process"
    for node in nodes:
        try:
            return describe(node.client_port), ""
        except NotReadyError as exc:
            reason = f"node {node.number}: {exc}"
    return None, reason


def _open(options: Options) -> _Kafka:
    home = Home("kafka", options.instance)
    return _Kafka(home, home.load())


def _up(options: Options) -> Outcome:
    account = accounts.unprivileged()
    home = Home("kafka", options.instance)
    home.make(account)
    with home.lock(options.timeout):
        kafka = _Kafka(home, home.load())
        count = options.nodes or len(kafka.nodes) or 1
        running = kafka.running
        _require_same(kafka, count, options.port)
        if len(running) < count:
            if not running:
                _choose_ports(kafka, count, options)
            _start(kafka, [node for node in kafka.nodes if node not in running], options)
        else:
            require(
                lambda: kafka.probe(kafka.nodes, count), options.timeout, "Kafka was to be ready"
            )
        outcome = kafka.outcome()
        return Outcome(outcome.ok, kafka.bootstrap, outcome.data)


def _require_same(kafka: _Kafka, count: int, port: int | None) -> None:
    """Refuse an `up` that asks for something else than what is there."""
    if kafka.nodes and len(kafka.nodes) != count:
        remedy = "`deploy/kafka down --wipe` first, or give --instance NAME for a second cluster"
        raise DeployError(f"this cluster has {len(kafka.nodes)} nodes, asked for {count}: {remedy}")
    if port is not None and kafka.running and kafka.nodes[0].client_port != port:
        raise DeployError(
            f"already running on {kafka.bootstrap}, asked for port {port}: "
            "`deploy/kafka down` first"
        )


def _choose_ports(kafka: _Kafka, count: int, options: Options) -> None:
    """Settle the ports of all nodes: those asked for, else those remembered, else new ones."""
    kept = [port for pair in kafka.state.get("ports", []) for port in pair]
    if options.port is not None:
        clients = [options.port + offset for offset in range(count)]
        ports.require_free(clients)
        pairs = list(zip(clients, ports.choose(count, taken=clients), strict=True))
    elif kept and all(ports.is_free(port) for port in kept):
        return
    else:
        chosen = ports.choose(2 * count)
        pairs = list(zip(chosen[:count], chosen[count:], strict=True))
    kafka.state["ports"] = [list(pair) for pair in pairs]


def _start(kafka: _Kafka, nodes: Sequence[Node], options: Options) -> None:
    """Start these nodes and wait until the cluster can be used; stop them again if it cannot."""
    account = accounts.unprivileged()
    program = java.find(account)
    store = Home("kafka")
    store.make(account)
    heap_mb = options.heap or kafka.state.get("heap_mb") or _HEAP_MB[len(kafka.nodes)]
    with store.lock(options.timeout, "fetch.lock"):
        libs = java.jars(store.path)
    runtime = kafka_node.Runtime(program, libs, account, heap_mb)
    kafka.state |= {"heap_mb": heap_mb}
    kafka.state.setdefault("cluster_id", _cluster_id())
    kafka.home.save(kafka.state)
    for node in nodes:
        ports.require_free([node.client_port, node.controller_port])
        node.configure(kafka.home, kafka.nodes, account)
    kafka_node.format_disks(nodes, kafka.state["cluster_id"], runtime)
    say("kafka", f"starting node {', '.join(str(node.number) for node in nodes)}")
    try:
        for node in nodes:
            node.start(runtime)
        alive = kafka.running
        require(lambda: kafka.probe(alive, len(alive)), options.timeout, "Kafka was to be ready")
    except BaseException:  # also Ctrl-C: nothing half-started stays behind
        kafka_node.stop_all(nodes)
        raise


def _cluster_id() -> str:
    """Return a new cluster id in Kafka's form: 16 random bytes in URL-safe base64."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _down(options: Options) -> Outcome:
    kafka = _open(options)
    if not kafka.home.path.exists():
        return Outcome(ok=True, line="not running", data={"running": False})
    with kafka.home.lock(options.timeout):
        kafka_node.stop_all(kafka.running)
        if options.wipe:
            kafka.home.wipe("node-*")
    return Outcome(ok=True, line="stopped", data={"running": False})


def _kill(options: Options) -> Outcome:
    kafka = _open(options)
    node = kafka.node(options.node)
    with kafka.home.lock(options.timeout):
        process = node.process()
        if process is None:
            raise DeployError(f"node {node.number} is not running: nothing to kill")
        processes.kill([process])
    return Outcome(ok=True, line=f"killed node {node.number}", data={"node": node.report()})


def _start_one(options: Options) -> Outcome:
    kafka = _open(options)
    node = kafka.node(options.node)
    with kafka.home.lock(options.timeout):
        if node.process() is None:
            _start(kafka, [node], options)
    return Outcome(
        ok=True, line=f"{ports.LOOPBACK}:{node.client_port}", data={"node": node.report()}
    )


def _status(options: Options) -> Outcome:
    return _open(options).outcome()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    about = "Apache Kafka on loopback, from its published jars, under build/kafka."
    command = cli.Command("kafka", about, _EXAMPLE)
    up = command.verb(
        "up", "start it and print the bootstrap address", _up, "deploy/kafka up --nodes 3"
    )
    up.add_argument(
        "--nodes",
        type=int,
        choices=(1, 3),
        help="nodes in the cluster (default: as it was, else 1)",
    )
    up.add_argument(
        "--port",
        type=cli.port,
        metavar="P",
        help="client port of node 1, P+1 and P+2 of the others",
    )
    down = command.verb("down", "stop it", _down, "deploy/kafka down --wipe")
    down.add_argument("--wipe", action="store_true", help="remove its data and settings too")
    command.verb(
        "status", "exit code 0 when it answers, 1 when not", _status, "deploy/kafka status --json"
    )
    kill = command.verb("kill", "kill -9 one node", _kill, "deploy/kafka kill --node 2")
    start = command.verb("start", "start one node again", _start_one, "deploy/kafka start --node 2")
    for verb in (kill, start):
        verb.add_argument(
            "--node", type=cli.positive, required=True, metavar="N", help="which one, from 1"
        )
    for verb in (up, start):
        verb.add_argument(
            "--heap",
            type=cli.positive,
            metavar="MB",
            help="Java heap of a node (default 512; 384 of three)",
        )
    return command.main(arguments)
