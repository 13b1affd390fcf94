"""Cut the food inspections by date: everything before the last days to learn from, those to judge.

The plain figure (days gained, AUC) is made in this way: the same places may stand on both sides,
as they do in service, where a place's past is known. `evaluate --keep-known-groups` judges so;
without it only places never seen before are judged.

    python examples/model/chicago/cut.py --data ../shared/data --out build/chicago --days 60
"""  # noqa: INP001

from __future__ import annotations

import argparse
import csv
import gzip
import io
from datetime import date, timedelta
from pathlib import Path

FILE, DAY = "chicago_food_inspections_train.csv.gz", "Inspection_Date"


def write(path: Path, names: list[str], rows: list[dict[str, str]]) -> None:
    """Write a gzip CSV file without a date inside, so that equal rows give equal bytes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def cut(folder: Path, out: Path, days: int) -> tuple[int, int]:
    """Write `earlier.csv.gz` and `last.csv.gz` and return their rows."""
    with gzip.open(folder / FILE, "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    end = max(date.fromisoformat(row[DAY]) for row in rows)
    border = (end - timedelta(days=days - 1)).isoformat()
    out.mkdir(parents=True, exist_ok=True)
    earlier = [row for row in rows if row[DAY] < border]
    last = [row for row in rows if row[DAY] >= border]
    write(out / "earlier.csv.gz", list(rows[0]), earlier)
    write(out / "last.csv.gz", list(rows[0]), last)
    return len(earlier), len(last)


def main() -> None:
    """Read the file and write the two parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("build/chicago"))
    parser.add_argument("--days", type=int, default=60)
    asked = parser.parse_args()
    learned, judged = cut(asked.data, asked.out, asked.days)
    print(f"{learned:,} rows to learn from, {judged:,} to judge on, in {asked.out}")  # noqa: T201


if __name__ == "__main__":
    main()
