"""What a rule's conditions became: the source that was written out for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.kernel.errors import Fault, WrongUse
from services.risk.domain.compiled import compile_pack
from services.risk.domain.pack import Pack
from services.risk.domain.written import Written
from services.risk.packs.examples import alone


def written_for(pack: Pack, rule_id: str) -> str:
    """Return the functions written out for a rule, each once, in the order they were made.

    Raises:
        WrongUse: the pack has no such rule.
    """
    rule = next((r for r in (*pack.rules, *pack.groups) if r.id == rule_id), None)
    if rule is None:
        found = f"no rule {rule_id!r} among {len(pack.rules)}"
        raise WrongUse(Fault(pack.name, "the id of a rule", found, "see `hearthwatch pack book`"))
    sources: list[str] = []

    class Noting(Written):
        def _made(self, source: str) -> Callable[[Any], int]:
            sources.append(source)
            return super()._made(source)

    compile_pack(alone(pack, rule), Noting)
    return "\n\n".join(dict.fromkeys(sources))
