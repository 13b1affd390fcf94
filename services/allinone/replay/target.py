"""The folder of one replay: its own run, never a live one, resumable only as the same run.

`run.json` says what the run is of: the same logs, map, pack and cut. It is written before anything
else, and its presence tells every command that the data folder is a replay's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import msgspec

from services.kernel import settings as kernel_settings
from services.kernel.errors import Fault, WrongUse
from services.kernel.runtime import running
from services.kernel.settings import Settings

FILE: Final = "run.json"
_CHUNK: Final = 1 << 20
Note = TypeVar("Note", bound=msgspec.Struct)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is of. `pack` is a path for commands that open the run later; digests decide.

    logs: SHA-256 of each. marks: instants (microseconds) or, alone and negative, minus the number
    of rows between marks. repeat: how many times the log is fed, under other names.
    """

    name: str
    pack: str
    map: str
    logs: list[str]
    map_digest: str
    pack_digest: str
    partitions: int
    batch: int
    repeat: int
    marks: list[int]


def make_run(
    *,
    logs: list[Path],
    map_: Path,
    pack: Path,
    pack_digest: str,
    partitions: int,
    batch: int,
    repeat: int,
    marks: list[int],
) -> Run:
    """Return the run of these inputs; the same inputs give the same name."""
    parts = {
        "logs": [_digest(path) for path in logs],
        "map_digest": _digest(map_),
        "pack_digest": pack_digest,
        "partitions": partitions,
        "batch": batch,
        "repeat": repeat,
        "marks": marks,
    }
    name = hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]
    return msgspec.convert(
        {"name": name, "pack": str(pack.resolve()), "map": str(map_.resolve()), **parts}, Run
    )


@contextmanager
def target(run: Run, keep: Path | None, *, resume: bool) -> Iterator[Path]:
    """Give the run's folder: a new one, the kept one to go on with, or a temporary one.

    Raises:
        WrongUse: the folder is live, not empty, or of another run.
    """
    if keep is None:
        if resume:
            raise WrongUse(
                Fault("--resume", "--keep DIR beside it", "no --keep", "name the kept folder")
            )
        with TemporaryDirectory(prefix="hearthwatch-replay-") as folder:
            _begin(Path(folder), run)
            yield Path(folder)
        return
    _refuse_live(keep)
    if resume:
        _refuse_other(keep, run)
    else:
        _refuse_full(keep)
        keep.mkdir(parents=True, exist_ok=True)
        _begin(keep, run)
    yield keep


def run_of(folder: Path) -> Run | None:
    """Return the run that a data folder holds, or None when it is no replay's.

    Raises:
        WrongUse: its run.json cannot be read.
    """
    return note(folder / FILE, Run, "the run of a replay")


def note(path: Path, kind: type[Note], what: str) -> Note | None:
    """Return what a note in a run's folder says; None where there is none.

    Raises:
        WrongUse: it cannot be read as `what`.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as exc:
        fault = Fault(str(path), what, "another content", "replay into a new folder")
        raise WrongUse(fault) from exc


def settings_for(folder: Path, run: Run, /, **more: object) -> Settings:
    """Return the settings of a replay: nothing of the environment, so nothing live is reached."""
    return kernel_settings.load(
        {},
        **more,
        data_dir=folder,
        pack=Path(run.pack),
        partitions=run.partitions,
        replay=True,
        alerts_drive="marks",
        log_level="WARNING",
    )


def refuse_replay(folder: Path) -> None:
    """Refuse to serve a replay's folder: its alerts are of another time and page nobody.

    Raises:
        WrongUse: it is one.
    """
    if (folder / FILE).exists():
        raise WrongUse(
            Fault(
                where=str(folder),
                expected="a data folder of its own",
                found="the folder of a replay",
                remedy="give another folder with --data; look into this one with why, doctor, dlq",
                code="replay",
            )
        )


def _begin(folder: Path, run: Run) -> None:
    path = folder / FILE
    with path.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _refuse_live(folder: Path) -> None:
    other = running(folder)
    if other is not None:
        raise WrongUse(
            Fault(
                where=str(folder),
                expected="a folder that no process has open",
                found=f"process {other.pid or 'unknown'}",
                remedy="wait for it, or give another folder with --keep",
                code="in_use",
            )
        )


def _refuse_full(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WrongUse(
            Fault(
                where=str(folder),
                expected="an empty or new folder",
                found="a kept run" if (folder / FILE).exists() else "something else in it",
                remedy="give another folder, or --resume to go on with the run in it",
                code="not_empty",
            )
        )


def _refuse_other(folder: Path, run: Run) -> None:
    found = run_of(folder)
    if found is None:
        raise WrongUse(
            Fault(str(folder), "a kept run to go on with", "none", "leave out --resume to begin")
        )
    if found.name == run.name:
        return
    before, after = msgspec.structs.asdict(found), msgspec.structs.asdict(run)
    names = [name for name in before if before[name] != after[name] and name != "name"]
    raise WrongUse(
        Fault(
            where=str(folder),
            expected="the same logs, map, pack and cut as the run began with",
            found="another " + ", ".join(names),
            remedy="give the same ones, or replay into another folder",
            code="other_run",
        )
    )


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    except OSError as exc:
        raise WrongUse(
            Fault(str(path), "a file that can be read", type(exc).__name__, "correct the path")
        ) from exc
    return found.hexdigest()
