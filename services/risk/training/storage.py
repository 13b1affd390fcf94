"""A model folder: skops for estimators, JSON for the rest, a manifest of hashes over both."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skops import io as skops_io

from services.risk.adapters.model_arrays import RawColumn, to_arrays
from services.risk.adapters.sklearn_model import FORMAT, hash_of
from services.risk.training.calibrate import Calibration
from services.risk.training.faults import refuse
from services.risk.training.recipe import RECIPE_VERSION, Fitted, Task
from services.risk.training.table import Floats, Ints
from services.risk.training.thresholds import Placement

LIBRARIES = ("numpy", "scipy", "scikit-learn", "skops", "pyarrow")


def library_versions() -> dict[str, str]:
    """Return the versions that decide a model's numbers."""
    found = {name: metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **found}


def write_model(
    folder: Path,
    *,
    columns: Sequence[RawColumn],
    fitted: Fitted,
    task: Task,
    calibration: Calibration,
    placement: Placement,
    extra: Mapping[str, Any],
) -> None:
    """Write `model.skops` and `model.json`. `extra` is what people and later commands need."""
    about = {
        "format": FORMAT,
        "recipe": RECIPE_VERSION,
        "libraries": library_versions(),
        "task": asdict(task),
        "parts": list(fitted.parts),
        "columns": [asdict(column) for column in columns],
        "encoding": to_arrays(fitted.encoding) if fitted.encoding else None,
        "linear": to_arrays(fitted.linear) if fitted.linear else None,
        "calibration": asdict(calibration),
        "placement": asdict(placement),
        **extra,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.skops").write_bytes(settled_archive(skops_io.dumps(dict(fitted.estimators))))
    write_json(folder / "model.json", about)


def settled_archive(data: bytes) -> bytes:
    """Return a skops archive without memory addresses and dates: equal models, equal bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        schema = old.read("schema.json").decode()
        order = dict.fromkeys(re.findall(r'"__id__": (\d+)', schema))
        order |= dict.fromkeys(name.split(".")[0] for name in old.namelist() if name[0].isdigit())
        number = {found: str(k) for k, found in enumerate(order)}
        schema = re.sub(r'("__id__": |"file": ")(\d+)', lambda m: m[1] + number[m[2]], schema)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for name in sorted(old.namelist(), key=lambda n: number.get(n.split(".")[0], n)):
                stem, _, rest = name.partition(".")
                content = schema.encode() if name == "schema.json" else old.read(name)
                new.writestr(
                    zipfile.ZipInfo(f"{number.get(stem, stem)}.{rest}", (1980, 1, 1, 0, 0, 0)),
                    content,
                    zipfile.ZIP_DEFLATED,
                )
    return out.getvalue()


def write_json(path: Path, content: object) -> None:
    """Write JSON with sorted keys; numbers are written so that they read back the same."""
    path.write_text(
        json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1) + "\n", encoding="utf-8"
    )


def write_memory(
    folder: Path,
    *,
    rows: Mapping[str, tuple[Sequence[str], NDArray[np.uint64]]],
    groups: NDArray[np.uint64],
    judged: Ints,
    probability: Floats,
    y: Ints,
) -> None:
    """Write what training saw, as hashes, and its out-of-fold answers: `evaluate` needs both.

    `rows` holds, for `all` columns and for the `used` ones, their names and a hash a row.
    """
    parts: dict[str, Any] = {
        "groups": groups,
        "judged": judged,
        "probability": probability,
        "y": y,
    }
    for which, (names, hashes) in rows.items():
        parts[f"{which}_columns"] = np.asarray(names, np.str_)
        parts[f"{which}_rows"] = hashes
    np.savez_compressed(folder / "seen.npz", **parts)


def read_memory(folder: Path) -> dict[str, NDArray[Any]]:
    """Return what `write_memory` wrote; never unpickles."""
    with np.load(folder / "seen.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def seal(folder: Path) -> str:
    """Write the manifest over all files of the folder and return the model hash."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "manifest.json" and path.suffix != ".html"
    }
    digest = hash_of(files)
    write_json(folder / "manifest.json", {"hash": digest, "files": files})
    return digest


def fresh_folder(folder: Path) -> None:
    """Refuse to write into a folder that holds something else than a model.

    Raises:
        WrongUse: a file is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise refuse("--out", found="a file", expected="a folder", remedy="choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "manifest.json").is_file():
        raise refuse(
            "--out",
            found="a folder with other files",
            expected="a new or a model folder",
            remedy="choose another name",
        )
