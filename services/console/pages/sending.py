"""Sends a fact in exactly once, whoever presses however often, and whatever answer was lost."""

from typing import Final

from services.console.gateway import Json
from services.console.web.visit import Visit
from services.kernel.errors import Refused
from services.kernel.ids import derived

DONE_BEFORE: Final = (409, 412)
"""What a service answers when it has something under this key or version already."""


class SaidOtherwise(Refused):
    """Under the fact's key another fact came in before."""


async def send_once(visit: Visit, change: Json) -> None:
    """Send a change in; one that came in before under its key is there already.

    Who heard no answer sends again, and then only the instant differs.

    Raises:
        Away: intake does not answer. SaidOtherwise: another fact has the key. Refused: it is wrong.
    """
    try:
        await visit.gateway.send_change(change, change["sourceid"])
    except Refused as exc:
        if exc.status not in DONE_BEFORE and exc.fault.code != "key_reused":
            raise
        identity = derived("change", change["source"], change["sourceid"])
        before = await visit.gateway.get("intake", f"/v1/changes/{identity}")
        if before["envelope"]["data"] != change["data"]:
            raise SaidOtherwise(exc.fault, exc.status) from exc
