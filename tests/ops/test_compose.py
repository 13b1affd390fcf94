"""docker-compose.yml held against the code: there is no engine here that could try it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from services.allinone.deployed import LIVE
from services.allinone.processes import free_ports
from services.kernel.clock import SystemMonotonic
from services.kernel.contracts.topics import CATALOGUE as TOPICS
from services.kernel.db.roles import SERVICES as ROLES
from services.kernel.errors import WrongUse
from services.kernel.http.edge import OPEN
from services.kernel.protect import NEEDED_BY, keyring_of
from services.kernel.settings import PREFIX, Settings, load
from tests.arch.tree import ROOT, files
from tests.support import keys

COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = {name: s for name, s in SERVICES.items() if "build" in s}
HOSTED: Final = {name: s for name, s in OURS.items() if name != "roles"}
PORTS: Final = {name: 8600 + n for n, name in enumerate(LIVE, 1)}
EXAMPLE: Final = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
)
DOCKERFILE: Final = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
SECRETS: Final = (
    "HEARTHWATCH_TOKEN", "HEARTHWATCH_KEYRING", "POSTGRES_PASSWORD", "GRAFANA_ADMIN_PASSWORD",
)  # fmt: skip
KEYS: Final = "HEARTHWATCH_KEYRING"
TEXT: Final = {"type": "string"}
TEXTS: Final = {"type": "array", "items": TEXT, "minItems": 1}
SPAN: Final = {"type": "string", "pattern": r"^\d+(s|m)$"}


def only(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties at most."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def each(value: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": value}


SCHEMA: Final = {
    **only(
        name=TEXT,
        services=each(
            only(
                image={"type": "string", "pattern": r"^[a-z/-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$"},
                build=only(context=TEXT, dockerfile=TEXT, args=each(TEXT)),
                command=TEXTS, restart={"enum": ["unless-stopped", "no"]}, profiles=TEXTS,
                environment=each(TEXT),  # a bare number or `false` is not what it looks like
                ports={"type": "array", "items": {"pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
                volumes={"type": "array", "items": {"pattern": r"^[./\w-]+:/[\w./-]+(:ro)?$"}},
                depends_on=each(
                    only(condition={"enum": ["service_healthy", "service_completed_successfully"]})
                ),
                healthcheck={
                    "oneOf": [
                        only(disable={"const": True}),
                        {
                            **only(
                                test={**TEXTS, "prefixItems": [{"const": "CMD"}]}, interval=SPAN,
                                timeout=SPAN, start_period=SPAN, retries={"type": "integer"},
                            ),
                            "required": ["test", "interval", "timeout", "retries"],
                        },
                    ]
                },
                networks=only(default=only(aliases=TEXTS)),
                logging=only(driver=TEXT, options=each(TEXT)),
                init={"type": "boolean"}, read_only={"type": "boolean"}, tmpfs=TEXTS,
                cap_drop=TEXTS, security_opt=TEXTS, stop_grace_period=SPAN,
            )
        ),
        volumes=each({"type": "null"}),
    ),
    "patternProperties": {"^x-": {}},
    "required": ["name", "services", "volumes"],
}  # fmt: skip


def environment_of(name: str) -> dict[str, str]:
    """Return a service's variables as compose would fill them in from the example."""
    given = EXAMPLE | dict.fromkeys(SECRETS, "a-secret-of-its-own") | {KEYS: keys.TEXT}

    def fill(found: re.Match[str]) -> str:
        value = given.get(found[1], "")
        return value or (found[3] if found[2] == ":-" else "")

    pattern = r"\$\{(\w+)(:-|:\?)([^}]*)\}"
    return {k: re.sub(pattern, fill, v) for k, v in SERVICES[name].get("environment", {}).items()}


def test_it_is_of_the_form_that_compose_takes() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(COMPOSE, SCHEMA)


@pytest.mark.parametrize(
    ("service", "field", "value"),
    [
        ("risk", "heathcheck", {"disable": True}),
        ("postgres", "image", "postgres"),
        ("postgres", "image", "postgres:latest"),
        ("postgres", "image", "postgres:17"),
        ("console", "ports", ["8606:8606"]),
        ("kafka", "environment", {"KAFKA_NODE_ID": 1}),
        ("risk", "depends_on", {"kafka": {"condition": "service_started"}}),
        ("risk", "volumes", ["data"]),
    ],
)
def test_a_slip_is_seen(service: str, field: str, value: object) -> None:
    other = {**COMPOSE, "services": {**SERVICES, service: {**SERVICES[service], field: value}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(other, SCHEMA)


def test_every_service_of_the_code_is_there_and_no_other() -> None:
    modules = {path.parts[1] for path in files() if path.match("services/*/__main__.py")}
    commands = {tuple(service["command"]) for service in HOSTED.values()}
    started = {command[2] for command in commands}
    assert started == {f"services.{name}" for name in modules} | {LIVE["dead"]}
    assert started == set(LIVE.values())
    assert all(command[:2] == ("python", "-m") for command in commands)
    assert set(HOSTED) == {*PORTS, "risk-stream"}
    others = {"roles", "kafka", "postgres", "prometheus", "grafana"}
    assert set(SERVICES) == set(HOSTED) | others


@pytest.mark.parametrize("name", OURS)
def test_variables_are_settings_and_hold_what_settings_take(name: str, tmp_path: Path) -> None:
    given = environment_of(name)
    known = {f"{PREFIX}{field}".upper() for field in Settings.model_fields}
    secret = {f"{PREFIX}TOKEN_FILE", f"{PREFIX}DB_URL_FILE"}
    assert set(given) <= known | secret
    if (path := given.pop(f"{PREFIX}DB_URL_FILE", None)) is not None:
        assert path == f"/srv/hearthwatch/databases/{name.removesuffix('-stream')}.url"
        assert name.removesuffix("-stream") in ROLES
        kept = tmp_path / "url"
        kept.write_text("postgresql://somebody:secret@postgres:5432/hearthwatch\n", "utf-8")
        given[f"{PREFIX}DB_URL_FILE"] = str(kept)
    settings = load(given)
    if name == "roles":
        assert settings.db_url.get_secret_value().endswith("@postgres:5432/hearthwatch")
        return
    assert (settings.mode, settings.bus_url) == ("deployed", "kafka://kafka:9092")
    assert settings.http_port == PORTS[name.removesuffix("-stream")]
    assert settings.service_urls() == {
        each: f"http://{each}:{port}" for each, port in PORTS.items() if each != "dead"
    } | {"console": "http://127.0.0.1:8606"}
    assert settings.risk_engine == ("faust" if name == "risk-stream" else "plain")


def test_those_who_need_the_keyring_have_it_and_no_others(tmp_path: Path) -> None:
    assert {name for name in HOSTED if KEYS in environment_of(name)} == set(NEEDED_BY)
    for name in NEEDED_BY:
        given = {k: v for k, v in environment_of(name).items() if not k.endswith("_FILE")}
        settings = load(given, data_dir=tmp_path)
        assert keyring_of(settings).ids == keys.KEYRING.ids
        with pytest.raises(WrongUse, match="HEARTHWATCH_KEYRING: found nothing"):
            keyring_of(settings.model_copy(update={"keyring": SecretStr("")}))
    assert not list(tmp_path.iterdir())


def test_ports_and_scrape_targets_are_those_of_the_settings() -> None:
    published = {
        name: tuple(map(int, port.split(":")[1:]))
        for name, service in SERVICES.items()
        for port in service.get("ports", [])
    }
    assert published == {
        "intake": (PORTS["intake"],) * 2, "console": (PORTS["console"],) * 2,
        "prometheus": (9090, 9090), "grafana": (3000, 3000),
    }  # fmt: skip
    config = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text("utf-8"))
    jobs = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]
    }
    assert jobs["hearthwatch"] == [f"{name}:{port}" for name, port in PORTS.items()]
    assert config["rule_files"] == ["rules/*.yml"]


def test_mounted_files_exist_and_named_volumes_are_declared() -> None:
    named = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
                assert volume.endswith(":ro")
            else:
                named.add(source)
    assert named == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_our_containers_may_do_no_more_than_they_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    writable = {v for v in service["volumes"] if not v.endswith(":ro")}
    wanted = (
        "databases:/srv/hearthwatch/databases" if name == "roles" else "data:/srv/hearthwatch/data"
    )
    assert writable == {wanted}


def test_secrets_come_from_the_file_that_is_not_committed() -> None:
    whole = (ROOT / "docker-compose.yml").read_text("utf-8")
    asked = set(re.findall(r"\$\{(\w+)", whole))
    assert asked | {"COMPOSE_PROFILES"} == set(EXAMPLE)
    for name in SECRETS:
        assert EXAMPLE[name] == ""
        assert re.search(rf"\${{{name}:\?", whole), f"{name} is not asked for"
        assert f"${{{name}}}" not in whole
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").split("\n")
    assert not (ROOT / ".env").exists() or Path(".env") not in files()


def test_one_risk_runs_whatever_the_profile() -> None:
    assert {s["profiles"][0]: n for n, s in OURS.items() if "profiles" in s} == {
        "plain": "risk", "faust": "risk-stream",
    }  # fmt: skip
    assert EXAMPLE["COMPOSE_PROFILES"] == "plain"
    assert SERVICES["risk-stream"]["networks"]["default"]["aliases"] == ["risk"]


def test_alerts_waits_for_its_database_only() -> None:
    assert set(SERVICES["alerts"]["depends_on"]) == {"roles"}
    assert set(SERVICES["roles"]["depends_on"]) == {"postgres"}
    waited = {name: s["depends_on"] for name, s in HOSTED.items() if name != "alerts"}
    assert all(set(found) == {"roles", "kafka"} for found in waited.values())


def test_kafka_is_set_as_the_tests_have_it() -> None:
    text = (ROOT / "deploy" / "config" / "kafka-server.properties").read_text("utf-8")
    known = {line.split("=")[0] for line in text.splitlines() if "=" in line and line[0] != "#"}
    given = environment_of("kafka")
    assert given.pop("KAFKA_HEAP_OPTS")
    named = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value for key, value in given.items()
    }
    assert set(named) <= known
    assert named["auto.create.topics.enable"] == "false"
    pom = (ROOT / "deploy" / "config" / "kafka-pom.xml").read_text("utf-8")
    version = SERVICES["kafka"]["image"].split(":")[1]
    assert f"<version>{version}</version>" in pom
    assert len(TOPICS) >= 6  # made by the services, each with the partitions of the settings


def test_the_image_is_built_from_locked_files_and_is_not_root() -> None:
    extras = EXAMPLE["EXTRAS"]
    assert f"ARG EXTRAS={extras}\n" in DOCKERFILE
    assert "--require-hashes --only-binary :all:" in DOCKERFILE
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    for copied in re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in copied.split():
            assert (ROOT / source).exists()
            assert f"!{source.rstrip('/')}" in ignored
    for service in OURS.values():
        assert service["build"]["dockerfile"] == "deploy/Dockerfile"
        version = re.search(
            r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
        )
        assert version is not None
        assert service["image"] == f"hearthwatch:{version[1]}"


@pytest.mark.parametrize("extras", ["kafka-postgres", "kafka-postgres-ml"])
def test_the_images_lock_is_a_part_of_the_projects(extras: str) -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
        pinned = (line.split(" ")[0].split("==") for line in lines if "==" in line)
        return {name.partition("[")[0]: version for name, version in pinned}

    whole, found, base = pins("dev"), pins(extras), pins("base")
    assert found.items() <= whole.items()
    assert base.items() <= found.items()
    assert {"kafka-python", "faust-streaming", "psycopg", "hatchling"} <= set(found)
    assert ("scikit-learn" in found) == extras.endswith("ml")


@pytest.mark.slow
def test_the_healthcheck_tells_a_ready_process_from_one_that_is_not(tmp_path: Path) -> None:
    """Run the very command of the container beside a real process."""
    commands = {tuple(s["healthcheck"]["test"][1:]) for s in HOSTED.values()}
    (command,) = commands
    paths = set(re.findall(r"'(/\w+)'", command[-1]))
    assert paths == {"/readyz"}
    assert paths < OPEN
    (port,) = free_ports(1)
    environ = {
        **os.environ,
        "HEARTHWATCH_HTTP_PORT": str(port),
        "HEARTHWATCH_DATA_DIR": str(tmp_path),
    }

    def healthy() -> bool:
        return subprocess.run(
            [sys.executable, *command[1:]], env=environ, capture_output=True, check=False
        ).returncode == 0  # fmt: skip

    assert not healthy()
    with subprocess.Popen(
        [sys.executable, "-m", "services.registry"],
        env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        monotonic, never = SystemMonotonic(), threading.Event()
        end_s = monotonic.seconds() + 40
        while not healthy():
            assert monotonic.seconds() < end_s
            assert process.poll() is None
            monotonic.wait(never, 0.2)
        process.terminate()
        assert process.wait(20) == 0
