"""What a plain pipeline gains on the two parts that `cut.py` wrote: the figures to compare with.

Scaled numbers and one-hot categories into a logistic, and boosted trees as they come; the inspector
and everything that the same visit found are left out, as in `features.yaml`.

    python examples/model/chicago/plain.py --parts build/chicago
"""  # noqa: INP001

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from services.risk.training.scorecard import days_gained

NO_FEATURE = (
    "Inspection_Date", "License", "Inspection_ID", "Business_ID", "criticalCount", "seriousCount",
    "minorCount", "pass_flag", "fail_flag", "Inspector_Assigned", "criticalFound",
)  # fmt: skip


def pipelines(numbers: list[str]) -> dict[str, Any]:
    """Return the two plain pipelines."""
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    scaled = make_column_transformer((words, ["Facility_Type"]), (StandardScaler(), numbers))
    plain = make_column_transformer((words, ["Facility_Type"]), remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.05, random_state=0)
    return {
        "logistic": make_pipeline(scaled, LogisticRegression(C=0.1, max_iter=500)),
        "boosted trees": make_pipeline(plain, trees),
    }


def main() -> None:
    """Print AUC and days gained, with places already known and without."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", type=Path, default=Path("build/chicago"))
    parts = parser.parse_args().parts
    learn, judge = (pd.read_csv(parts / f"{name}.csv.gz") for name in ("earlier", "last"))
    features = [name for name in learn if name not in NO_FEATURE]
    dates = pd.to_datetime(judge["Inspection_Date"]).to_numpy("datetime64[D]").astype(float)
    truth = judge["criticalFound"].to_numpy() > 0
    new = ~judge["License"].isin(learn["License"]).to_numpy()
    for name, model in pipelines([n for n in features if n != "Facility_Type"]).items():
        score = model.fit(learn[features], learn["criticalFound"]).predict_proba(judge[features])
        for whose, rows in (("every place", np.ones_like(new)), ("new places only", new)):
            said = score[rows, 1]
            gained = days_gained(truth[rows], said, dates[rows])
            print(  # noqa: T201
                f"{name}, {whose}: AUC {roc_auc_score(truth[rows], said):.3f}  days gained "
                f"{gained['mean_days']:.1f} ({gained['low']:.1f} to {gained['high']:.1f})"
            )


if __name__ == "__main__":
    main()
