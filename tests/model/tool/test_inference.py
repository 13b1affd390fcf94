"""What a column is, and why it stays out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from services.risk.domain.forbidden import ban_of
from services.risk.training.inference import group_candidates, infer, kind_of
from services.risk.training.spec import FeatureSpec, Spec
from services.risk.training.table import Column, Table, encode


def column(name: str, values: Sequence[object]) -> Column:
    return encode(name, pa.array([str(v) for v in values]))


def table(**columns: Sequence[object]) -> Table:
    made = {name: column(name, values) for name, values in columns.items()}
    return Table(made, len(next(iter(columns.values()))), 0)


RNG = np.random.default_rng(4)


class TestKinds:
    def test_ages_are_numbers(self) -> None:
        assert kind_of(column("age", list(RNG.integers(18, 90, 500))), 500) == "number"

    def test_whole_numbers_with_gaps_are_codes(self) -> None:
        values = list(RNG.choice([33, 171, 8014, 9003, 9070, 9147], 500))
        assert kind_of(column("course", values), 500) == "category"

    def test_numbers_with_leading_zeros_are_codes(self) -> None:
        assert kind_of(column("area", [f"{k % 9:03d}" for k in range(300)]), 300) == "category"

    def test_diagnosis_codes_stay_codes_although_most_look_like_numbers(self) -> None:
        values = [*map(str, RNG.integers(250, 800, 480)), "V27", "V58", "E909"]
        assert kind_of(column("diag_1", values), 483) == "category"

    def test_counts_with_a_long_tail_are_numbers(self) -> None:
        values = [*RNG.poisson(1.0, 480), 20, 40, 60]
        assert kind_of(column("stays", list(values)), 483) == "number"

    def test_yes_no_and_numbers_mixed_keep_both(self) -> None:
        values = [*map(str, RNG.integers(0, 40, 300)), *["yes"] * 50, *["no"] * 50]
        assert kind_of(column("dependency", values), 400) == "mixed"

    @pytest.mark.parametrize(
        "values",
        [
            [f"A{k:05d}" for k in range(300)],
            [f"{k * 7919 % 100003}" for k in range(300)],
            [str(k) for k in range(1, 301)],
        ],
    )
    def test_a_value_for_each_row_is_an_id(self, values: Sequence[object]) -> None:
        assert kind_of(column("case_no", values), 300) == "id"

    def test_a_measurement_that_never_repeats_is_a_number(self) -> None:
        values = list(np.round(RNG.lognormal(8, 1, 300)).astype(int) * 3 + np.arange(300) % 2)
        assert kind_of(column("income", values), 300) in {"number", "category"}

    def test_dates_are_dates(self) -> None:
        values = [f"2014-0{k % 9 + 1}-{k % 27 + 1:02d}" for k in range(200)]
        assert kind_of(column("seen", values), 200) == "date"
        assert (
            kind_of(column("seen", [f"2014年{k % 9 + 1}月{k % 27 + 1}日" for k in range(99)]), 99)
            == "date"
        )

    def test_remarks_are_free_text(self) -> None:
        values = [f"visited on day {k}, spoke about {k % 7} things" for k in range(160)] * 2
        assert kind_of(column("remark", values[:200]), 200) in {"text", "id"}


class TestLeftOut:
    def test_empty_constant_and_copied_columns_are_named(self) -> None:
        x = list(RNG.integers(0, 90, 200))
        roles = infer(
            table(a=x, b=x, c=[""] * 200, d=["1"] * 200, y=[0, 1] * 100),
            Spec(),
            target="y",
            group="",
            time="",
        )
        kinds = {item.column: item.kind for item in roles.left_out}
        assert kinds == {"b": "copy", "c": "empty", "d": "constant"}

    def test_a_name_that_tells_of_the_time_after_is_left_out(self) -> None:
        roles = infer(
            table(final_result=["a", "b"] * 50, x=list(RNG.integers(0, 9, 100)), y=[0, 1] * 50),
            Spec(),
            target="y",
            group="",
            time="",
        )
        assert [i.kind for i in roles.left_out] == ["known after"]

    def test_stages_later_than_the_moment_of_prediction_are_left_out(self) -> None:
        spec = Spec(
            stages=("enrolment", "term"),
            predict_at="enrolment",
            features={"x": FeatureSpec(known="term"), "z": FeatureSpec(known="enrolment")},
        )
        roles = infer(
            table(
                x=list(RNG.integers(0, 90, 100)), z=list(RNG.integers(0, 90, 100)), y=[0, 1] * 50
            ),
            spec,
            target="y",
            group="",
            time="",
        )
        assert list(roles.kinds) == ["z"]

    def test_a_person_who_repeats_is_a_group(self) -> None:
        found = table(
            patient_nbr=[10_000 + 7 * (k // 3) for k in range(600)],
            kind_id=[k % 5 for k in range(600)],
            y=[k % 2 for k in range(600)],
        )
        roles = infer(found, Spec(), target="y", group="", time="")
        assert group_candidates(found, roles, target="y", time="") == ["patient_nbr"]


class TestForbidden:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("race", "ethnicity"),
            ("Ethnic_Group", "ethnicity"),
            ("民族", "ethnicity"),
            ("Inspector_Assigned", "worker"),
            ("caseWorker", "worker"),
            ("网格员", "worker"),
            ("past_alerts_90d", "own behaviour"),
            ("n_visits", "own behaviour"),
            ("failed_visits_30d", "own behaviour"),
            ("走访次数", "own behaviour"),
            ("reporter_id", "reporter"),
            ("举报人", "reporter"),
            ("benefits_count", "benefits"),
            ("低保金额", "benefits"),
            ("grid_id", "place"),
        ],
    )
    def test_it_is_recognised_by_name_and_the_reason_is_given_in_both_languages(
        self, name: str, kind: str
    ) -> None:
        ban = ban_of(name)
        assert ban is not None
        assert ban.kind == kind
        assert ban.zh
        assert ban.en

    @pytest.mark.parametrize(
        "name",
        [
            "age",
            "hospital_visits_12m",
            "emergency_visits",
            "embrace",
            "trace_metals",
            "grade",
            "number_inpatient",
            "workers_in_family",
            "supporters_active",
            "Fathers_occupation",
        ],
    )
    def test_others_are_let_through(self, name: str) -> None:
        assert ban_of(name) is None

    def test_a_forbidden_column_is_used_only_with_a_reason_in_the_spec(self) -> None:
        found = table(race_time_s=list(RNG.integers(0, 90, 100)), y=[0, 1] * 50)
        without = infer(found, Spec(), target="y", group="", time="")
        said = Spec(
            features={"race_time_s": FeatureSpec(allowed=True, reason="a sprint, in seconds")}
        )
        assert not without.kinds
        assert list(infer(found, said, target="y", group="", time="").kinds) == ["race_time_s"]
