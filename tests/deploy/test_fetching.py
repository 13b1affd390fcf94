from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy._lib import account, java, postgres_programs
from deploy._lib.debian import Apt, Unpacked
from deploy._lib.errors import DeployError
from deploy._lib.home import CONFIG, Home

Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put a shell script in front of the machine's programs of that name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def write(name: str, body: str) -> None:
        script = folder / name
        script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        script.chmod(0o755)

    return write


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing is installed."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)


class TestJava:
    def test_a_machine_without_java_is_told_what_to_install(self, bare: None) -> None:
        with pytest.raises(
            DeployError, match=r"install Java 17 or newer .*openjdk-17-jre-headless"
        ):
            java.find(account.caller())

    def test_java_17_is_taken(self, program: Program, tmp_path: Path) -> None:
        program("java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
        assert java.find(account.caller()) == tmp_path / "bin/java"

    def test_an_older_java_is_refused_by_its_version(self, program: Program) -> None:
        program("java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
        with pytest.raises(DeployError, match="is Java 11: install Java 17"):
            java.find(account.caller())

    def test_a_java_home_without_java_is_named(
        self, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        program("java", "exit 0")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
        with pytest.raises(DeployError, match=r"JAVA_HOME \("):
            java.find(account.caller())

    def test_a_java_that_does_not_run_is_refused(self, program: Program) -> None:
        program("java", "exit 1")
        with pytest.raises(DeployError, match="does not run as user"):
            java.find(account.caller())


class TestJars:
    def test_a_machine_without_maven_is_told_what_to_install(
        self, bare: None, tmp_path: Path
    ) -> None:
        with pytest.raises(DeployError, match=r"install Maven \(Debian: maven\)"):
            java.jars(tmp_path)

    def test_what_maven_says_last_is_passed_on(self, program: Program, tmp_path: Path) -> None:
        program("mvn", "echo '[ERROR] unknown host'; exit 1")
        with pytest.raises(DeployError, match="unknown host"):
            java.jars(tmp_path)
        assert not (tmp_path / "libs").exists()

    def test_a_fetch_that_brings_something_else_is_not_kept(
        self, program: Program, tmp_path: Path
    ) -> None:
        program("mvn", f"echo evil > {tmp_path}/libs.part/kafka-clients-4.1.1.jar")
        with pytest.raises(DeployError, match=r"expected .* by kafka-jars\.sha256: do not run it"):
            java.jars(tmp_path)
        assert not (tmp_path / "libs").exists()

    def test_jars_that_are_there_are_not_fetched_again(
        self, program: Program, tmp_path: Path
    ) -> None:
        program("mvn", "exit 1")
        (tmp_path / "libs").mkdir()
        pom = CONFIG / "kafka-pom.xml"
        (tmp_path / "libs/pom.xml").write_bytes(pom.read_bytes())
        assert java.jars(tmp_path) == tmp_path / "libs"

    @pytest.mark.parametrize("change", ["altered", "missing", "added"])
    def test_every_jar_must_be_the_one_that_was_locked(self, tmp_path: Path, change: str) -> None:
        (tmp_path / "a.jar").write_bytes(b"a")
        lock = tmp_path / "lock"
        lock.write_text(f"{hashlib.sha256(b'a').hexdigest()}  a.jar\n", encoding="ascii")
        java.verify(tmp_path, lock)
        if change == "altered":
            (tmp_path / "a.jar").write_bytes(b"b")
        elif change == "missing":
            (tmp_path / "a.jar").unlink()
        else:
            (tmp_path / "b.jar").write_bytes(b"b")
        with pytest.raises(DeployError, match=r"jar [ab]\.jar: found SHA-256"):
            java.verify(tmp_path, lock)

    def test_the_committed_hashes_are_those_of_the_committed_version(self) -> None:
        pom = (CONFIG / "kafka-pom.xml").read_text(encoding="utf-8")
        lock = (CONFIG / "kafka-jars.sha256").read_text(encoding="ascii")
        assert "<version>4.1.1</version>" in pom
        assert "  kafka_2.13-4.1.1.jar\n" in lock
        assert "  log4j-core-2.25.1.jar\n" in lock


# An apt whose own lists know nothing: it serves only when it is told to look elsewhere.
NO_LISTS = """case "$*" in
*Dir::State=*) ;;
*) echo "E: Unable to locate package" >&2; exit 100;;
esac
"""
DEPENDS = """printf '%s\\n' postgresql '  Depends: postgresql-15' '  Suggests: postgresql-doc'"""
DOWNLOAD = """case "$*" in
*download*) for last; do :; done; echo data > "$last.deb";;
esac"""
UNPACK = """mkdir -p "$3/usr/bin"; echo "$2" > "$3/usr/bin/$(basename "$2" .deb)" """


class TestDebian:
    @pytest.fixture
    def packages(self, tmp_path: Path) -> Unpacked:
        return Unpacked("postgres", tmp_path / "debian", tmp_path / "build")

    def test_a_package_that_stands_for_another_brings_the_other(
        self, program: Program, packages: Unpacked, tmp_path: Path
    ) -> None:
        program("apt-cache", DEPENDS)
        program("apt-get", DOWNLOAD)
        program("dpkg-deb", UNPACK)
        packages.fetch("postgresql", r"postgresql-\d+")
        assert [path.name for path in packages.root.glob("usr/bin/*")] == ["postgresql-15"]
        assert not (tmp_path / "build/apt").exists()
        assert not list(tmp_path.glob("*.archives"))

    def test_lists_of_our_own_are_fetched_when_the_machines_do_not_serve(
        self, program: Program, packages: Unpacked, tmp_path: Path
    ) -> None:
        program("apt-cache", NO_LISTS + DEPENDS)
        program("apt-get", NO_LISTS + DOWNLOAD)
        program("dpkg-deb", UNPACK)
        packages.fetch("postgresql", r"postgresql-\d+")
        assert [path.name for path in packages.root.glob("usr/bin/*")] == ["postgresql-15"]
        assert (tmp_path / "build/apt/state/lists/partial").is_dir()

    def test_a_package_that_cannot_be_had_is_refused_with_apts_words(
        self, program: Program, packages: Unpacked
    ) -> None:
        program("apt-cache", DEPENDS)
        program("apt-get", "echo 'E: Failed to fetch' >&2; exit 100")
        with pytest.raises(
            DeployError, match=r"package postgresql could not be fetched(?s:.*)E: Failed"
        ):
            packages.fetch("postgresql", r"postgresql-\d+")

    def test_a_machine_without_apt_is_told_to_install_it_itself(
        self, bare: None, packages: Unpacked
    ) -> None:
        with pytest.raises(DeployError, match="without apt-get it cannot be fetched: install it"):
            packages.fetch("prometheus", "prometheus")

    def test_libraries_that_the_machine_lacks_are_fetched_too_and_no_more(
        self, program: Program, packages: Unpacked, tmp_path: Path
    ) -> None:
        program("apt-cache", "echo prometheus")
        added = "printf 'Inst %s (1)\\n' libpq5 libllvm14 fonts-nice zlib1g prometheus"
        asked = f'echo "$*" >> {tmp_path}/asked'
        program("apt-get", f'case "$*" in *--simulate*) {added};; esac; {asked}')
        program("ldd", "echo '  libpq.so.5 => not found'")
        program("dpkg-deb", UNPACK)
        (packages.root / "usr/bin").mkdir(parents=True)
        (packages.root / "usr/bin/prometheus").touch()
        packages.fetch("prometheus", "prometheus")
        downloads = [
            line for line in (tmp_path / "asked").read_text().splitlines() if "download" in line
        ]
        assert [line.partition("download ")[2] for line in downloads] == [
            "prometheus",
            "libpq5 zlib1g",
        ]
        with pytest.raises(DeployError, match=r"no package brought libpq\.so\.5"):
            packages.require_whole()

    def test_a_library_that_no_package_has_is_named_and_nothing_is_asked_for(
        self, program: Program, packages: Unpacked
    ) -> None:
        program("apt-cache", "echo prometheus")
        program("apt-get", 'case "$*" in *"download ") exit 100;; esac')
        program("ldd", "echo '  libodd.so.1 => not found'")
        program("dpkg-deb", UNPACK)
        (packages.root / "usr/bin").mkdir(parents=True)
        (packages.root / "usr/bin/prometheus").touch()
        with pytest.raises(DeployError, match=r"no package is known that has libodd\.so\.1"):
            packages.fetch("prometheus", "prometheus")

    def test_unpacked_libraries_are_found_in_their_folders(self, packages: Unpacked) -> None:
        folder = packages.root / "usr/lib/x86_64-linux-gnu"
        assert packages.library_path() == ""
        folder.mkdir(parents=True)
        (folder / "libpq.so.5").touch()
        assert packages.library_path() == str(folder)
        (folder / "pulseaudio").mkdir()
        (folder / "pulseaudio/libpulsecommon-16.1.so").touch()
        assert packages.library_path() == f"{folder}:{folder}/pulseaudio"

    def test_an_apt_of_our_own_touches_nothing_of_the_machines(
        self, program: Program, tmp_path: Path
    ) -> None:
        program("apt-get", 'for each; do echo "$each"; done')
        told = Apt.private(tmp_path).run("apt-get", "download", "x").stdout.splitlines()
        for kept in ("Dir::State", "Dir::State::lists", "Dir::Cache", "Dir::Cache::archives"):
            (place,) = [part.partition("=")[2] for part in told if part.startswith(f"{kept}=")]
            assert Path(place).is_relative_to(tmp_path)


class TestPostgresPrograms:
    @pytest.fixture
    def installed_16(self, program: Program) -> None:
        for name in ("pg_ctl", "initdb", "psql"):
            program(name, "exit 0")
        program("postgres", "echo 'postgres (PostgreSQL) 16.4 (Debian 16.4-1)'")

    @pytest.fixture
    def home(self, tmp_path: Path) -> Home:
        return Home("postgres", build=tmp_path / "build")

    @pytest.mark.usefixtures("installed_16")
    def test_the_installation_on_path_comes_first(self, home: Home, tmp_path: Path) -> None:
        found = postgres_programs.choose(home, account.caller(), major=None, fetch=False)
        assert (found.folder, found.major) == (tmp_path / "bin", 16)
        assert found["psql"] == tmp_path / "bin/psql"

    @pytest.mark.usefixtures("installed_16")
    def test_data_of_that_version_is_opened_with_it(self, home: Home) -> None:
        assert postgres_programs.choose(home, account.caller(), major=16, fetch=False).major == 16

    @pytest.mark.usefixtures("installed_16")
    def test_data_of_another_version_is_not_opened(self, home: Home, program: Program) -> None:
        folder = home.path / "debian/usr/lib/postgresql/16/bin"
        folder.mkdir(parents=True)
        (home.path / "debian.complete").touch()
        for name in ("postgres", "initdb", "psql"):
            script = folder / name
            script.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.4'\n", encoding="utf-8")
            script.chmod(0o755)
        with pytest.raises(DeployError, match="the data is PostgreSQL 9's, and only version 16"):
            postgres_programs.choose(home, account.caller(), major=9, fetch=False)

    def test_an_installation_that_is_too_old_is_passed_over(self, program: Program) -> None:
        for name in ("pg_ctl", "initdb", "psql"):
            program(name, "exit 0")
        program("postgres", "echo 'postgres (PostgreSQL) 9.6.1'")
        assert all(found.major >= 14 for found in postgres_programs.installed(account.caller()))

    def test_an_installation_without_psql_is_passed_over(
        self, program: Program, tmp_path: Path
    ) -> None:
        for name in ("pg_ctl", "initdb"):
            program(name, "exit 0")
        program("postgres", "echo 'postgres (PostgreSQL) 16.4'")
        found = postgres_programs.installed(account.caller())
        assert tmp_path / "bin" not in [each.folder for each in found]
