"""A trained model in the chain: the town's facts come in, its word stands in the assessments."""

from __future__ import annotations

import csv
import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="training needs the extra `ml`")

from services.allinone.demo.run import PACK
from services.allinone.demo.stage import Stage, stepped
from services.allinone.demo.station import Station
from services.allinone.demo.town_day import Course, bring
from services.allinone.town.plan import Plan
from services.allinone.town.stream import Town, build, items
from services.allinone.town.table import Memory
from services.intake.domain.item import change_id
from services.kernel.clock import MINUTE, parse_rfc3339
from services.kernel.errors import Refused
from services.risk.adapters.trained import load_trained
from services.risk.packs.loader import load
from services.risk.training.prepare import Request
from services.risk.training.spec import load_spec
from services.risk.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TOWN = Plan(people=40, days=3)
SPEC = PACK.parents[1] / "examples" / "model" / "town" / "features.yaml"
"""The spec of the town's own model: its features are the pack's, in the pack's order."""


def model_of(folder: Path) -> Path:
    """Train on rows that say: the older, the more in danger."""
    pick, spec = random.Random(5), load_spec(SPEC)
    names = [name for name in spec.features if name != "person"]
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["person", "household", "moment", *names, "synthetic_harm_90d"])
        for row in range(600):
            age = pick.randint(3, 92)
            harm = int(pick.random() < (age / 92))
            others = [pick.choice(["", *range(5)]) for _ in names[1:]]
            moment = date(2026, 1, 1 + row % 28)
            writer.writerow([f"p{row}", f"h{row}", moment, age, *others, harm])
    train(Request(folder / "t.csv", "", plain=True, spec=spec), folder / "model")
    return folder / "model"


def told(stage: Stage, town: Town) -> dict[str, dict[str, Any]]:
    """Return the newest assessment of everybody and every home that has one."""
    found = {}
    for home in town.households:
        for name in (home.id, *(one.id for one in home.members)):
            try:
                found[name] = stage.apis.get(
                    "risk", f"/v1/subjects/{name}/assessment", at="9999-12-31T00:00:00Z"
                )
            except Refused:
                continue
    return found


def test_the_town_s_people_get_the_model_s_word_beside_the_rules(tmp_path: Path) -> None:
    model, town, data = model_of(tmp_path), build(TOWN), tmp_path / "data"
    with stepped(data, PACK, model) as stage:
        bring(stage, Course(town), Station(stage.apis, 7, {}), lambda *_: None)
        found, end = told(stage, town), stage.clock.now()
    with stepped(data, PACK) as stage:  # the model is taken away
        stage.feeder.mark(end + MINUTE)
        stage.drain()
        plain = told(stage, town)
    homes = {home.id for home in town.households}
    says = {name: each["model"] for name, each in found.items() if "model" in each}
    scorer = load_trained(model, load(PACK).model)

    assert homes.isdisjoint(says)  # it learned from people
    assert {each["model"] for each in says.values()} == {scorer.name}
    alone = {name for name in says if found[name]["level"] and not found[name]["reasons"]}
    assert {found[name]["level"] for name in alone} == {1, 2}  # never red
    assert all(found[name]["level"] == says[name]["level"] for name in alone)
    assert {plain[name]["level"] for name in alone} == {0}
    assert all("model" not in plain[name] for name in alone)
    for name, each in plain.items():  # what rules hold up, the model does not lower
        assert found[name]["level"] >= each["level"]
    reds = [{n for n, each in which.items() if each["level"] == 3} for which in (found, plain)]
    assert reds[0] == reds[1]
    the_table_would_have_had_the_same_features(town, found, scorer)


def the_table_would_have_had_the_same_features(
    town: Town, found: dict[str, dict[str, Any]], scorer: Any
) -> None:
    """Read the features of each cause as the training table does; the answer must be the same."""
    pack, compared = load(PACK), 0
    memory = Memory(pack)
    causes = {each["cause"]: name for name, each in found.items() if each.get("cause")}
    for at, item in items(town):
        memory.take(at, item)
        name = causes.get(change_id(item["source"], item["sourceid"]))
        if name is None or "model" not in found[name]:
            continue
        when = parse_rfc3339(found[name]["at"])
        features = memory.features(found[name]["household"], name, when)
        assert features is not None
        assert scorer.score([features])[0].probability == found[name]["model"]["probability"]
        compared += 1
    assert compared > 10
