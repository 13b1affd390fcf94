"""Which built-in fields are kept encrypted, and how a value that is can be told from one in clear.

A protected value is text: `enc:v1:<key id>:<base64url>` (docs/adr/0028-protected-fields.md). What
it says is opened by services/kernel/protect.py alone; everybody else passes it on as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.kernel.contracts import registry_types as types

PREFIX: Final = "enc:"
"""No clear value of a protected field may begin so: the door refuses it."""
PHONE: Final = "phone"
ID_NUMBER: Final = "id_number"
KEY_HOLDER: Final = "key_holder"
CONTACT: Final = "contact"
BUILT_IN: Final[Mapping[str, tuple[str, ...]]] = {
    types.HOUSEHOLD: (PHONE, KEY_HOLDER),
    types.PERSON: (ID_NUMBER, PHONE),
    types.STAFF: (CONTACT,),
    types.DUTY: (CONTACT,),
}
"""The protected fields of the built-in types, as `REGISTRY_TYPES` marks them."""


def is_sealed(value: object) -> bool:
    """Tell whether a value has the form of a protected one."""
    return isinstance(value, str) and value.startswith(PREFIX)
