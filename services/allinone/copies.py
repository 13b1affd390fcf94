"""A data folder copied as it stood at one instant, beside whatever process writes to it.

Every file's writer is held off for a few milliseconds while a snapshot of each is opened; what is
copied then takes its time and holds nobody up. So databases and bus agree with each other to the
transaction, as they would after a power cut, and a restored folder goes on where the copy stood.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.clock import Clock, rfc3339
from services.kernel.errors import Fault, Faults, Retryable, WrongUse
from services.kernel.protect import FILE as KEYRING

NOTE: Final = "backup.json"
"""Written last: a copy without it was not finished."""
_BUS: Final = "bus.db"
_WAIT_S: Final = 30.0
_BESIDE: Final = ("-wal", "-shm", "-journal", ".lock", ".part")
_CHUNK: Final = 1 << 20


class File(msgspec.Struct, frozen=True):
    """A file of a copy."""

    bytes: int
    sha256: str


class Note(msgspec.Struct, frozen=True):
    """What stands in a copy, when it was taken and by which version."""

    made_at: str
    version: str
    files: dict[str, File]


def backup(data: Path, to: Path, clock: Clock, *, keyring: bool = False) -> Note:
    """Copy a data folder to a new folder and return what it holds.

    Args:
        data: Of an embedded process, running or not.
        to: A folder that is not there, or empty. People stand in it, as in the data folder itself.
        clock: For the note.
        keyring: Put the keyring in too; without it protected fields stay closed to whoever has the
            copy, and to us when the keyring is lost.

    Raises:
        WrongUse: there is nothing to copy, no room, or something is there.
        Retryable: a writer held its database for half a minute, or the disk failed; the folder has
            no note then, and `restore` does not take it.
    """
    databases = databases_of(data)
    if not databases:
        raise WrongUse(
            Fault(str(data), "a data folder with databases", "none", "name it with --data")
        )
    _need_empty(to)
    _need_room(data, to)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _trouble("copy"):
        with _snapshots(databases) as readers:
            for path, reader in zip(databases, readers, strict=True):
                _copy_database(reader, to / path.name)
        for path in _others_of(data, keyring=keyring):
            _copy_file(path, to / path.name)
        files = {path.name: _file_of(path) for path in sorted(to.iterdir())}
        note = Note(rfc3339(clock.now()), metadata.version("hearthwatch"), files)
        _write(to / NOTE, msgspec.json.format(msgspec.json.encode(note)))
    return note


def restore(source: Path, data: Path) -> Note:
    """Make a data folder of a copy, every file of which is checked; return what it holds.

    Args:
        source: What `backup` made.
        data: A folder that is not there, or empty.

    Raises:
        WrongUse: no finished copy, or something is in the folder. Faults: files were altered.
        Retryable: the disk failed; the data folder is as it was.
    """
    note = _note_of(source)
    _need_empty(data)
    part = data.with_name(data.name + ".part")
    if part.exists():
        shutil.rmtree(part)
    with _trouble("restore"):
        part.mkdir(mode=0o700, parents=True)
        for name in note.files:
            _copy_file(source / name, part / name)
        faults = [
            Fault(name, "the file that was copied", "another content", "use another copy")
            for name, was in note.files.items()
            if _file_of(part / name) != was
        ]
        if faults:
            shutil.rmtree(part)
            raise Faults(str(source), faults)
        part.replace(data)
        _sync(data.parent)
    return note


def databases_of(data: Path) -> list[Path]:
    """Return the database files of a folder, the bus last.

    A relay holds its service's database while it writes to the bus, so who asks in another order
    would wait for it in a circle.
    """
    return sorted(data.glob("*.db"), key=lambda path: (path.name == _BUS, path.name))


def _others_of(data: Path, *, keyring: bool) -> list[Path]:
    return [
        path
        for path in sorted(data.iterdir())
        if path.is_file()
        and path.suffix != ".db"
        and not path.name.endswith(_BESIDE)
        and (keyring or path.name != KEYRING)
    ]


@contextmanager
def _snapshots(databases: Sequence[Path]) -> Iterator[list[sqlite3.Connection]]:
    """Open a snapshot of each database, all of one instant at which nobody wrote to any."""
    with ExitStack() as opened:
        readers: list[sqlite3.Connection] = []
        with ExitStack() as held:
            for path in databases:
                writer = held.enter_context(closing(_connect(path)))
                writer.execute("BEGIN IMMEDIATE")
                held.callback(writer.execute, "ROLLBACK")
            for path in databases:
                reader = opened.enter_context(closing(_connect(path)))
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
                readers.append(reader)
        yield readers


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None)


def _copy_database(reader: sqlite3.Connection, to: Path) -> None:
    with closing(sqlite3.connect(to)) as copy:
        reader.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, complete in itself
        found = copy.execute("PRAGMA quick_check").fetchone()[0]
    if found != "ok":
        raise Retryable(f"copy of {to.name}: {found}; is the disk sound?")
    to.chmod(0o600)
    _sync(to)


def _copy_file(path: Path, to: Path) -> None:
    shutil.copyfile(path, to)
    to.chmod(0o600)
    _sync(to)


def _file_of(path: Path) -> File:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return File(path.stat().st_size, digest.hexdigest())


def _note_of(source: Path) -> Note:
    try:
        note = msgspec.json.decode((source / NOTE).read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError) as exc:
        raise WrongUse(
            Fault(str(source), f"a finished copy, with its {NOTE}", "none",
                  "name a folder that `hearthwatch backup` made to its end")
        ) from exc  # fmt: skip
    wrong = [name for name in note.files if Path(name).name != name or not (source / name).exists()]
    if wrong:
        raise Faults(
            str(source),
            [Fault(name, "a file of the copy", "none", "use another copy") for name in wrong],
        )
    return note


def _need_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WrongUse(
            Fault(str(folder), "a folder that is not there yet, or empty", "something",
                  "name another one, or move it away first")
        )  # fmt: skip


def _need_room(data: Path, to: Path) -> None:
    wanted = sum(path.stat().st_size for path in data.iterdir() if path.is_file())
    there = next(each for each in (to, *to.resolve().parents) if each.exists())
    free = shutil.disk_usage(there).free
    if free < wanted:
        raise WrongUse(
            Fault(str(to), f"room for {wanted} bytes", f"{free} bytes", "name another disk")
        )


@contextmanager
def _trouble(doing: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise Retryable(f"cannot {doing}: {exc}") from exc
    except OSError as exc:
        raise Retryable(f"cannot {doing}: {exc.strerror or type(exc).__name__}") from exc


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    _sync(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
