"""Bench rows of the model: training per public set, and scoring beside bare scikit-learn."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.kernel.clock import Monotonic, SystemMonotonic
from services.risk.adapters.model_arrays import Floats, RawColumn
from services.risk.adapters.sklearn_model import Model, load_model
from services.risk.training.calibrate import Calibration
from services.risk.training.encode import codebook, fit_encoding, outcome_columns
from services.risk.training.recipe import Fitted, Problem, Task, fit_boosting
from services.risk.training.storage import seal, write_model
from services.risk.training.thresholds import Placement

BATCHES = (1, 64, 512, 4096)
FEATURES, LEARN_ROWS, ROUNDS, CLASSES = 40, 6000, 100, 4
"""The model of the measured limits: 100 rounds, 40 features, 4 classes."""
REPEATS = 5
COMMAND = "hearthwatch bench --only model"
SETS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("nhanes", "nhanes_2003_2004_elder_mortality.csv.gz", ("--target", "died5y")),
    ("uci697", "uci697_dropout_train.csv.gz", ("--target", "Status")),
    (
        "chicago",
        "chicago_food_inspections_train.csv.gz",
        ("--spec", "examples/model/chicago/features.yaml"),
    ),
    (
        "diabetes130",
        "diabetes130_train.csv.gz",
        ("--target", "readmitted", "--positive", "<30", "--group", "patient_nbr"),
    ),
)


@dataclass(frozen=True)
class Row:
    """One line of the bench: `value` in `unit`, what the peer took, times as fast as the peer."""

    name: str
    value: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    command: str = COMMAND


def scoring_rows(clock: Monotonic) -> Iterator[Row]:
    """Yield microseconds a row by batch size, with and without reasons, beside scikit-learn."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        model, peer, data = bench_model(Path(folder))
        for size in BATCHES:
            batch = np.asfortranarray(data[:size])
            plain = partial(model.score, batch, explain=False)
            bare_call = partial(peer.predict_proba, batch)
            ours, bare = _timed_pair(clock, plain, bare_call, size)
            yield Row(
                f"model: score, batch {size:,}; times as fast as scikit-learn",
                round(ours, 2),
                "µs/row",
                round(bare, 2),
                round(bare / ours, 2),
            )
            told, bare = _timed_pair(clock, partial(model.score, batch), bare_call, size)
            yield Row(
                f"model: score with reasons, batch {size:,}; as scikit-learn without reasons",
                round(told, 2),
                "µs/row",
                round(bare, 2),
                round(bare / told, 2),
            )


def bench_model(folder: Path) -> tuple[Model, HistGradientBoostingClassifier, Floats]:
    """Return our model, the scikit-learn model inside it, and rows to score."""
    rng = np.random.default_rng(11)
    data = np.asfortranarray(rng.normal(size=(LEARN_ROWS, FEATURES)))
    latent = data[:, 0] + data[:, 1] * data[:, 2] + rng.logistic(size=LEARN_ROWS)
    y = np.digitize(latent, np.quantile(latent, np.arange(1, CLASSES) / CLASSES))
    columns = [RawColumn(f"x{j:02d}", "number") for j in range(FEATURES)]
    task = Task("nominal", tuple("abcd"))
    part = Problem(codebook(columns), data, y, np.arange(LEARN_ROWS), task, {}, 7)
    encoding, matrix = fit_encoding(
        part.book, data, outcome_columns(y, CLASSES, ordinal=False), part.groups
    )
    models = fit_boosting(part, matrix, encoding, "boosting", (ROUNDS,) * CLASSES)
    write_model(
        folder,
        columns=columns,
        fitted=Fitted(("boosting",), encoding, None, {"boosting": models}),
        task=task,
        calibration=Calibration("nominal", 1.0, (0.0,) * CLASSES),
        placement=Placement("even", (1.0,) * CLASSES),
        extra={"features": {}},
    )
    seal(folder)
    return load_model(folder), models[0], data


def _timed_pair(
    clock: Monotonic, ours: Callable[[], object], peer: Callable[[], object], size: int
) -> tuple[float, float]:
    """Return the medians in microseconds a row, measured in turns."""
    rounds = max(3, 2048 // size)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for act, times in zip((ours, peer), found, strict=True):
            act()
            start = clock.seconds()
            for _ in range(rounds):
                act()
            times.append((clock.seconds() - start) / rounds / size * 1e6)
    return median(found[0]), median(found[1])


def training_rows(data: Path, clock: Monotonic) -> Iterator[Row]:
    """Yield seconds and peak memory of training on each public set, a process for each."""
    for name, file, options in SETS:
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["train", "--data", str(data / file), *options, "--out", f"{folder}/m"]
            start = clock.seconds()
            code = "from services.risk.training.bench import child; child()"
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", code, *arguments],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            seconds = clock.seconds() - start
        cpu_s, peak = map(float, done.stdout.rsplit("cpu_s, peak_mb ", 1)[1].split())
        command = f"hearthwatch model train --data {file} {' '.join(options)}"
        yield Row(f"model: train {name}", round(seconds, 1), "s", command=command)
        yield Row(f"model: train {name}, of them at work", round(cpu_s, 1), "s", command=command)
        yield Row(f"model: train {name}, peak memory", round(peak), "MB", command=command)


def child() -> None:
    """Run the command line in this process; print processor time and peak memory at the end."""
    from services.risk.training.cli import app  # noqa: PLC0415

    app(sys.argv[1:], standalone_mode=False)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = used.ru_utime + used.ru_stime
    sys.stdout.write(f"cpu_s, peak_mb {cpu_s:.1f} {peak_mb():.1f}\n")


def peak_mb() -> float:
    """Return the most memory this process held, in MB.

    Linux tells it by VmHWM; ru_maxrss would start at what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bench(*, quick: bool = False, clock: Monotonic | None = None) -> Iterator[Row]:
    """Yield all rows; training is left out when `quick`, or where the public sets are not."""
    clock = clock or SystemMonotonic()
    yield from scoring_rows(clock)
    data = Path(os.environ.get("HEARTHWATCH_DATA") or "../shared/data")
    if data.is_dir() and not quick:
        yield from training_rows(data, clock)


def main() -> None:
    """Print one line a row."""
    for row in bench(quick="--quick" in sys.argv):
        peer = f"  (peer {row.peer}; x{row.ratio})" if row.peer else ""
        sys.stdout.write(f"{row.name}: {row.value} {row.unit}{peer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
