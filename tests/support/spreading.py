"""How tests are spread over workers: one by one, but together where they share something dear.

xdist's own `--dist loadgroup` forgets its groups with pytest 9.2: it writes them where nobody reads
any more. The marks are read from the text of the module instead.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from xdist.scheduler import LoadScopeScheduling

_GROUP: Final = re.compile(r'mark\.xdist_group\("(\w+)"\)')
_SHARED: Final = re.compile(r'fixture\(scope="module"')


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it ships no types
    """Gives each worker single tests; whole modules whose tests share a world, and marked groups.

    The largest groups go first, then single tests in the order of collection.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return group_of(self.config.rootpath / path) or nodeid


@cache
def group_of(module: Path) -> str | None:
    """Return what the tests of a module stay together with: a group, one another, or nothing."""
    beside = module.with_name("conftest.py")
    texts = [path.read_text(encoding="utf-8") for path in (module, beside) if path.is_file()]
    if marked := _GROUP.search(texts[0]):
        return marked[1]
    return str(module) if any(_SHARED.search(text) for text in texts) else None
