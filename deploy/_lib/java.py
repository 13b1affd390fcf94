"""Java, and the jars that Maven fetches by coordinates and we check by hash."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from .account import Account
from .cli import say
from .errors import DeployError
from .home import CONFIG

_NEEDED = 17


def find(account: Account) -> Path:
    """Return the `java` to run brokers with: that of JAVA_HOME, else the first on PATH.

    Raises:
        DeployError: none, too old, or out of the account's reach; the message says what to install.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    remedy = f"install Java {_NEEDED} or newer (Debian: openjdk-{_NEEDED}-jre-headless)"
    if found is None:
        place = f"JAVA_HOME ({home})" if home else "PATH"
        raise DeployError(f"Kafka needs Java, and there is no `java` in {place}: {remedy}")
    try:
        answer = subprocess.run(
            [found, "-version"],
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
            **account.popen_options(),
        )
    except (OSError, subprocess.CalledProcessError) as exc:
        raise DeployError(f"{found} does not run as user {account.name} ({exc}): {remedy}") from exc
    version = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if version is None or int(version[1]) < _NEEDED:
        raise DeployError(
            f"{found} is Java {version[1] if version else 'of unknown version'}: {remedy}"
        )
    return Path(found)


def jars(store: Path) -> Path:
    """Return the folder of Kafka's jars, fetched when it is missing or the pom has changed.

    Raises:
        DeployError: Maven is missing or failed, or a jar is not the one whose hash is committed.
    """
    pom = CONFIG / "kafka-pom.xml"
    libs = store / "libs"
    kept = libs / "pom.xml"
    if kept.exists() and kept.read_bytes() == pom.read_bytes():
        return libs
    maven = shutil.which("mvn")
    if maven is None:
        raise DeployError(
            "Kafka's jars are fetched by Maven, and there is no `mvn` on PATH: install Maven "
            f"(Debian: maven), or copy a filled {libs} from another machine"
        )
    say("kafka", "fetching the jars with Maven")
    fresh = store / "libs.part"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    shutil.copy(pom, fresh / "pom.xml")
    _copy_dependencies(maven, fresh, store)
    verify(fresh, CONFIG / "kafka-jars.sha256")
    shutil.rmtree(libs, ignore_errors=True)
    fresh.replace(libs)
    return libs


def _copy_dependencies(maven: str, target: Path, store: Path) -> None:
    command = [
        maven,
        "-q",
        "-B",
        "-C",
        "-f",
        str(target / "pom.xml"),
        "dependency:copy-dependencies",
    ]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    if not os.access(Path.home(), os.W_OK):  # an account without a home, such as nobody
        command.append(f"-Dmaven.repo.local={store / 'm2'}")
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if answer.returncode != 0:
        end = "\n".join(answer.stdout.splitlines()[-15:])
        raise DeployError(f"Maven could not fetch Kafka's jars: is a registry reachable?\n{end}")


def verify(libs: Path, lock: Path) -> None:
    """Check that the jars are exactly those of the lock file, if it names any.

    Raises:
        DeployError: one is missing, added or other than locked.
    """
    expected = {}
    for line in lock.read_text(encoding="ascii").splitlines():
        digest, _, name = line.partition("  ")
        expected[name] = digest
    if not expected:
        say(
            "kafka",
            f"{lock.name} is empty: jars not checked; see docs/deploy.md, 'Raising a version'",
        )
        return
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in libs.glob("*.jar")
    }
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise DeployError(
                f"jar {name}: found SHA-256 {found.get(name, '(missing)')}, expected "
                f"{expected.get(name, '(no such jar)')} by {lock.name}: do not run it; look at "
                "where it came from, or, if its version was raised, follow docs/deploy.md, "
                "'Raising a version'"
            )
