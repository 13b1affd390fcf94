"""Asking the model: for the level of all drafts, and to explain itself only where that is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.kernel.contracts.assessments import ModelSays
from services.risk.domain.drafts import Draft, Output
from services.risk.ports import Row, Scorer


def says_of(scorer: Scorer, outputs: Sequence[Output]) -> dict[int, ModelSays]:
    """Return what the model says, by position in `outputs`, wherever it will be told.

    Every other draft that could be scored is marked quiet: neither a rule nor the model changes
    anything by it. Outputs stand in the order in which they will be settled.
    """
    open_ = {
        n: output
        for n, output in enumerate(outputs)
        if isinstance(output, Draft) and output.features is not None
    }
    levels = scorer.levels(_rows(open_)) if open_ else ()
    told: dict[int, Draft] = {}
    before: dict[int, int] = {}
    for (n, made), level in zip(open_.items(), levels, strict=True):
        if made.news or level != before.get(id(made.of), made.of.model_level):
            told[n] = made
        else:
            made.quiet = True
        before[id(made.of)] = level
    return dict(zip(told, scorer.score(_rows(told)), strict=True)) if told else {}


def _rows(drafts: Mapping[int, Draft]) -> list[Row]:
    return [made.features for made in drafts.values() if made.features is not None]
