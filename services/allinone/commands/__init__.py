"""One module per subcommand: its options and what it prints; what it runs is imported then."""

from __future__ import annotations

from services.allinone.commands import (
    bench,
    console,
    copies,
    demo,
    dlq,
    doctor,
    keys,
    model,
    pack,
    replay,
    take_in,
    town,
    up,
    version,
    why,
)

ALL = (
    replay.add, doctor.add, why.add, dlq.add, pack.add, take_in.add, up.add, model.add, bench.add,
    demo.add, console.add, copies.add, keys.add, town.add, version.add,
)  # fmt: skip
"""What puts each subcommand into the command, in the order of the help."""
