"""Commands with many options: a frozen dataclass of them instead of as many parameters."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints


class DataclassType(Protocol):
    """What a dataclass is to the type checker."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


Options = TypeVar("Options", bound=DataclassType)


def command(
    kind: type[Options], *, doc: str | None = None
) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Make a function of one options value into what typer reads its parameters from.

    Each field of the dataclass is `Annotated` with a typer option or argument; fields without a
    default come first. `doc` is the help text.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)

    def wrap(call: Callable[[Options], None]) -> Callable[..., None]:
        def run(**given: Any) -> None:  # noqa: ANN401 - as the fields say
            call(kind(**given))

        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [_parameter(field, hints[field.name]) for field in fields]
        )
        run.__annotations__ = {field.name: hints[field.name] for field in fields}
        run.__name__ = call.__name__
        run.__doc__ = doc
        return run

    return wrap


def _parameter(field: dataclasses.Field[Any], hint: Any) -> inspect.Parameter:  # noqa: ANN401
    default: Any = inspect.Parameter.empty
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint
    )
