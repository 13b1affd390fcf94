"""`hearthwatch model`: train, evaluate, score and explain from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from services.kernel.errors import Faults, WrongUse
from services.risk.training.faults import refuse

app = typer.Typer(
    help="The risk model as a tool: train on any table, judge it honestly, score, explain.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
console = Console(stderr=True, highlight=False, soft_wrap=True)

Asked = TypeVar("Asked")
FEWEST_ROWS = 50
"""Fewer rows give no model, so a table may not be thinned to less."""
EXTRA = {"numpy", "scipy", "sklearn", "skops", "pyarrow", "threadpoolctl"}
"""What the extra `ml` brings; the base install has none of it."""

Data = Annotated[Path, typer.Option("--data", help="CSV, CSV.gz or Parquet.")]
ModelDir = Annotated[Path, typer.Option("--model", help="Folder that train wrote.")]
Encoding = Annotated[
    str, typer.Option("--encoding", help="Text encoding of a CSV file, e.g. gb18030.")
]
ExpectHash = Annotated[
    str, typer.Option("--expect-hash", help="Refuse any other model than this one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


@contextmanager
def told() -> Iterator[None]:
    """Turn the two error verbs for wrong use into one message and exit code 2."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if (exc.name or "").split(".")[0] not in EXTRA:
            raise
        console.print(
            f"refused: {exc.name} is not installed: expected the extra `ml`; "
            "run pip install 'hearthwatch[ml]'",
            style="red",
            markup=False,
        )
        raise typer.Exit(2) from exc
    except (WrongUse, Faults) as exc:
        console.print(f"refused: {exc}", style="red", markup=False)
        raise typer.Exit(2) from exc


@contextmanager
def bars(*, steps: int = 0) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Give a callback for bytes read and one for fits done; drawn on the terminal only."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        reading = progress.add_task("reading", total=None)
        fitting = progress.add_task("fitting", total=steps or None, visible=bool(steps))

        def read(done: int, total: int) -> None:
            progress.update(reading, completed=done, total=total)

        def tick(kind: str) -> None:
            progress.update(fitting, advance=1, description=f"fitting {kind}")

        yield read, tick


def _texts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def taking(options: type[Asked]) -> Callable[[Callable[[Asked], None]], Callable[..., None]]:
    """Make a command of a function: one option for each field of its only argument."""

    def wrap(act: Callable[[Asked], None]) -> Callable[..., None]:
        def run(**values: object) -> None:
            act(options(**values))

        hints = get_type_hints(options, include_extras=True)
        parameters = [
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty if field.default is MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in fields(options)  # type: ignore[arg-type]
        ]
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__, run.__doc__, run.__name__ = hints, act.__doc__, act.__name__
        return run

    return wrap


@dataclass(frozen=True)
class TrainOptions:
    """The options of `train`."""

    data: Data
    out: Annotated[Path, typer.Option("--out", help="Folder to write the model into.")]
    target: Annotated[str, typer.Option("--target", help="Outcome column (or in the spec).")] = ""
    group: Annotated[
        str, typer.Option("--group", help="Person or household: kept on one side.")
    ] = ""
    per_group: Annotated[bool, typer.Option("--per-group", help="One example a group.")] = False
    time: Annotated[
        str, typer.Option("--time", help="Moment of prediction: learn from the past only.")
    ] = ""
    weight: Annotated[
        str, typer.Option("--weight", help="Sampling weight: how many people a row stands for.")
    ] = ""
    positive: Annotated[str, typer.Option("--positive", help="This value against all others.")] = ""
    order: Annotated[str, typer.Option("--order", help="Ordered classes, lowest first: a,b,c.")] = (
        ""
    )
    spec: Annotated[Path | None, typer.Option("--spec", help="Features file (YAML).")] = None
    split: Annotated[
        str, typer.Option("--split", help="auto, or random (refused where groups repeat).")
    ] = "auto"
    capacity: Annotated[
        float | None, typer.Option("--capacity", help="Share that can be visited, 0..1.")
    ] = None
    cost: Annotated[
        float | None, typer.Option("--cost", help="A missed case costs so many visits.")
    ] = None
    plain: Annotated[
        bool, typer.Option("--plain", help="The logistic alone: seconds, weights one can read.")
    ] = False
    folds: Annotated[
        int, typer.Option("--folds", help="Folds; 0: 10 below 5,000 rows, else 5.")
    ] = 0
    seed: Annotated[int, typer.Option("--seed")] = 7
    max_rows: Annotated[int, typer.Option("--max-rows", help="Most rows kept in memory.")] = 200_000
    encoding: Encoding = "utf-8"
    as_json: AsJson = False


@app.command()
@taking(TrainOptions)
def train(asked: TrainOptions) -> None:
    """Train by the default recipe and write a model folder with its card.

    Example: hearthwatch model train --data visits.csv --target harm_90d --group home --out model
    """
    with told(), bars(steps=1) as (read, tick):
        from services.risk.training.prepare import Request  # noqa: PLC0415
        from services.risk.training.spec import load_spec  # noqa: PLC0415
        from services.risk.training.train import train as run  # noqa: PLC0415

        _one_of("--split", asked.split, ("auto", "random"))
        _share("--capacity", asked.capacity)
        _numbers(asked)
        request = Request(
            data=asked.data,
            target=asked.target,
            group=asked.group,
            per_group=asked.per_group,
            time=asked.time,
            weight=asked.weight,
            positive=asked.positive,
            order=_texts(asked.order),
            split=asked.split,
            encoding=asked.encoding,
            folds=asked.folds,
            seed=asked.seed,
            max_rows=asked.max_rows,
            capacity=asked.capacity,
            cost=asked.cost,
            plain=asked.plain,
            spec=load_spec(asked.spec),
        )
        outcome = run(request, asked.out, tick=tick, progress=read)
    if asked.as_json:
        typer.echo(
            json.dumps(
                {"model": str(asked.out), "hash": outcome.hash, "card": outcome.card},
                ensure_ascii=False,
                sort_keys=True,
            )
        )
        return
    for line in train_lines(outcome.card):
        typer.echo(line)
    typer.echo(f"model: {asked.out}  hash {outcome.hash}")


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:

    if value not in known:
        raise refuse(
            option, found=repr(value), expected=" or ".join(known), remedy="correct the word"
        )


def _share(option: str, value: float | None) -> None:

    if value is not None and not 0 < value < 1:
        raise refuse(
            option,
            found=f"{value:g}",
            expected="a share between 0 and 1",
            remedy="write 0.1 for a tenth",
        )


def _numbers(asked: TrainOptions) -> None:
    cost = asked.cost if asked.cost is not None else 1.0
    for option, value, fine, expected in (
        ("--folds", asked.folds, asked.folds == 0 or asked.folds > 1, "0 (automatic), or 2 and up"),
        ("--seed", asked.seed, 0 <= asked.seed < 2**32, "0 to 4294967295"),
        ("--max-rows", asked.max_rows, asked.max_rows >= FEWEST_ROWS, f"{FEWEST_ROWS} and up"),
        ("--cost", cost, 0 < cost < float("inf"), "how many visits a missed case costs, above 0"),
    ):
        if not fine:
            raise refuse(option, found=f"{value:g}", expected=expected, remedy="correct the number")


def train_lines(card: dict[str, Any] | Any) -> list[str]:
    """Return what `train` prints: leaks, what was left out, and the figures."""
    lines = [f"CAUTION {card['caution']}"] if card["caution"] else []
    lines += [f"note: {note}" for note in card["notes"]]
    lines += [
        f"LEAK {f['kind']} {f['column'] or '(rows)'}: {f['action']}: {f['zh']} {f['en']}"
        for f in card["findings"]
    ]
    lines += [f"left out {i['column']} ({i['kind']}): {i['en']}" for i in card["left_out"]]
    lines.append(
        f"validation: {card['validation']['method']}; "
        f"recipe: {' + '.join(card['choice']['parts'])}; level: {card['placement']['rule']}"
    )
    for name, one in card["results"]["per_class"].items():
        low, high = one["auc_interval"]
        lines.append(
            f"class {name}: AUC {one['auc']:.4f} ({low:.3f} to {high:.3f})  "
            f"AP {one['average_precision']:.4f}  ECE {one['ece']:.4f}  "
            f"positives {one['positives']:,} of {card['results']['rows']:,}"
        )
    lines += population_lines(card["results"])
    if "days_gained" in card["results"]:
        gained = card["results"]["days_gained"]
        lines.append(
            f"days gained: {gained['mean_days']:.1f} ({gained['low']:.1f} to {gained['high']:.1f})"
        )
    lines.append(
        f"macro-F1 {card['results']['macro_f1']:.4f}  log-loss {card['results']['log_loss']:.4f}"
    )
    return lines


def population_lines(results: Mapping[str, Any]) -> list[str]:
    """Return the figures for the population beside those for the sample, where weights are given.

    The lines above them count rows (the sample); these count the people that the rows stand for.
    """
    people = results.get("population")
    if not people:
        return []
    rows, equal = f"{people['rows']:,}", f"{people['effective_rows']:,.0f}"
    told = f"{rows} rows tell as much as {equal} equal ones; the figures above are the sample's"
    lines = [f"population (weighted by {people['weight']}: {told}):"]
    for name, one in people["per_class"].items():
        low, high = one["auc_interval"]
        lines.append(
            f"  class {name}: AUC {one['auc']:.4f} ({low:.3f} to {high:.3f})  "
            f"AP {one['average_precision']:.4f}  ECE {one['ece']:.4f}  Brier {one['brier']:.4f}  "
            f"share {one['share']:.1%}"
        )
    lines.append(f"  macro-F1 {people['macro_f1']:.4f}  log-loss {people['log_loss']:.4f}")
    return lines


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `evaluate`."""

    model: ModelDir
    data: Data
    out: Annotated[
        Path | None, typer.Option("--out", help="HTML page; default MODEL/report.html.")
    ] = None
    target: Annotated[str, typer.Option("--target", help="Outcome column; default as trained.")] = (
        ""
    )
    focus: Annotated[str, typer.Option("--focus", help="The class whose finding matters.")] = ""
    by: Annotated[str, typer.Option("--by", help="Columns to break down by: a,b,c.")] = ""
    score_column: Annotated[
        str, typer.Option("--score-column", help="Other scores to compare: a,b.")
    ] = ""
    outcome_time: Annotated[
        str, typer.Option("--outcome-time", help="When the outcome came: lead time.")
    ] = ""
    weight: Annotated[
        str, typer.Option("--weight", help="Sampling weight column; default as trained.")
    ] = ""
    keep_known_groups: Annotated[bool, typer.Option("--keep-known-groups")] = False
    encoding: Encoding = "utf-8"
    expect_hash: ExpectHash = ""
    as_json: AsJson = False


@app.command()
@taking(EvaluateOptions)
def evaluate(asked: EvaluateOptions) -> None:
    """Judge a model on a table and write the trust report, one offline page.

    Example: hearthwatch model evaluate --model model --data later.csv --out report.html
    """
    page = asked.out or asked.model / "report.html"
    with told():
        from services.risk.adapters.sklearn_model import load_model  # noqa: PLC0415
        from services.risk.training.evaluate import Question  # noqa: PLC0415
        from services.risk.training.evaluate import evaluate as run  # noqa: PLC0415
        from services.risk.training.report import write_report  # noqa: PLC0415
        from services.risk.training.scoring import writable  # noqa: PLC0415

        loaded = load_model(asked.model, expect_hash=asked.expect_hash or None)
        writable(page, asked.data)
        found = run(
            loaded,
            asked.model,
            Question(
                data=asked.data,
                target=asked.target,
                encoding=asked.encoding,
                focus=asked.focus,
                by=_texts(asked.by),
                scores=_texts(asked.score_column),
                outcome_time=asked.outcome_time,
                weight=asked.weight,
                keep_known_groups=asked.keep_known_groups,
            ),
        )
        write_report(found, page)
    if asked.as_json:
        typer.echo(
            json.dumps(
                {**found, "report": str(page), "model": loaded.hash},
                ensure_ascii=False,
                sort_keys=True,
            )
        )
        return
    for line in evaluate_lines(found):
        typer.echo(line)
    typer.echo(f"report: {page}")


def evaluate_lines(found: dict[str, Any]) -> list[str]:
    """Return what `evaluate` prints."""
    results = found["results"]
    lines = [f"note: {note}" for note in found["notes"]]
    lines += [f"LEAK {f['kind']}: {f['zh']} {f['en']}" for f in found["findings"]]
    for name, one in results["per_class"].items():
        low, high = one["auc_interval"]
        lines.append(
            f"class {name}: AUC {one['auc']:.4f} ({low:.3f} to {high:.3f})  "
            f"AP {one['average_precision']:.4f}  ECE {one['ece']:.4f}  slope {one['slope']:.2f}"
        )
    lines += population_lines(results)
    for row in results["capacity"]:
        others = "".join(
            f"  {name} {other['capacity'][results['capacity'].index(row)]['recall']:.1%}"
            for name, other in results["compare"].items()
        )
        lines.append(
            f"top {row['share']:.0%}: found {row['recall']:.1%}  precision {row['precision']:.1%}"
            + others
        )
    for key in ("days_gained", "lead_time"):
        if key in results:
            lines.append(f"{key}: " + ", ".join(f"{k} {v:.1f}" for k, v in results[key].items()))
    lines.append(
        f"macro-F1 {results['macro_f1']:.4f}  log-loss {results['log_loss']:.4f}  "
        f"rows {results['rows']:,}"
    )
    return lines


@app.command()
def score(
    model: ModelDir,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="CSV to write, one line a row, in order.")],
    encoding: Encoding = "utf-8",
    expect_hash: ExpectHash = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write p_<class> for every class and the chosen level for each row, in the file's order.

    Example: hearthwatch model score --model model --data today.csv --out scores.csv
    """
    with told(), bars() as (read, _):
        from services.risk.adapters.sklearn_model import load_model  # noqa: PLC0415
        from services.risk.training.scoring import score_file  # noqa: PLC0415

        loaded = load_model(model, expect_hash=expect_hash or None)
        summary = score_file(loaded, data, out, encoding=encoding, progress=read)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "rows": summary.rows,
                    "levels": dict(summary.levels),
                    "out": str(out),
                    "outside": summary.outside,
                    "notes": list(summary.notes),
                    "model": loaded.hash,
                },
                ensure_ascii=False,
                sort_keys=True,
            )
        )
        return
    for note in summary.notes:
        typer.echo(f"note: {note}")
    typer.echo(
        f"{summary.rows:,} rows scored: "
        + ", ".join(f"{name} {count:,}" for name, count in summary.levels.items())
    )
    if summary.outside:
        typer.echo(f"{summary.outside:,} rows lie outside the population the model was trained for")
    typer.echo(f"scores: {out}")


@app.command()
def explain(
    model: ModelDir,
    data: Data,
    row: Annotated[str, typer.Option("--row", help="Row numbers, the first is 1: 1,5,9.")] = "1",
    focus: Annotated[str, typer.Option("--focus", help="The class to explain.")] = "",
    encoding: Encoding = "utf-8",
    expect_hash: ExpectHash = "",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Say why rows got their score: contributions that add up, what is missing or would change it.

    Example: hearthwatch model explain --model model --data today.csv --row 3
    """
    with told():
        from services.risk.adapters.sklearn_model import load_model  # noqa: PLC0415
        from services.risk.training.explain import explain_file, sentences  # noqa: PLC0415

        loaded = load_model(model, expect_hash=expect_hash or None)
        found = explain_file(loaded, data, _texts(row), focus=focus, encoding=encoding)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    for item in found:
        typer.echo(f"行 row {item['row']}")
        for line in sentences(item):
            typer.echo(line)
