"""Settings of a process, read from the environment once and checked before anything starts.

`HEARTHWATCH_<NAME>` for each field below; a secret may stand in a file instead, whose path is in
`HEARTHWATCH_<NAME>_FILE`. A wrong one is told by its variable, without its value.
"""

from __future__ import annotations

import difflib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.kernel.errors import Fault, Faults, WrongUse

PREFIX: Final = "HEARTHWATCH_"
SERVICES: Final = ("intake", "registry", "risk", "alerts", "console")
_SECRETS: Final = ("token", "db_url", "keyring")
_TYPO: Final = 0.85
_URL: Final = r"^(|https?://[^\s/]\S*)$"


class Settings(BaseSettings):
    """What an operator may choose. Frozen; make one with `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_prefix=PREFIX, hide_input_in_errors=True
    )

    mode: Literal["embedded", "deployed"] = Field(
        "embedded", description="embedded (one process, SQLite) or deployed (Kafka, PostgreSQL)"
    )
    data_dir: Path = Field(Path("data"), description="a folder for databases, bus and token")
    bus_url: str = Field(
        "sqlite", pattern=r"^(sqlite|kafka://[^\s/]+)$", description="sqlite or kafka://host:port"
    )
    db_url: SecretStr = Field(
        SecretStr("sqlite"), description="sqlite or postgresql://user@host:port/name"
    )
    partitions: int = Field(
        8, ge=1, le=512, description="a whole number from 1 to 512, fixed once topics exist"
    )
    replay: bool = Field(False, description="true (virtual clock, nobody is told) or false")
    run: str = Field(
        "",
        pattern=r"^([a-z][a-z0-9]{0,20})?$",
        description="nothing, or the name that sets apart a replay's topics, groups and schemas",
    )
    risk_engine: Literal["plain", "faust"] = Field(
        "plain", description="plain or faust: what reads the changes for risk on Kafka"
    )
    mark_every_s: float = Field(5.0, gt=0, le=60, description="seconds, above 0 and at most 60")
    alerts_drive: Literal["clock", "marks"] = Field(
        "clock", description="clock (alerts escalates by itself) or marks (replay)"
    )
    http_host: str = Field("127.0.0.1", min_length=1, description="an address to listen on")
    http_port: int = Field(
        8600, ge=0, le=65535, description="a port from 0 to 65535; 0 takes a free one"
    )
    token: SecretStr = Field(
        SecretStr(""), description="16 characters or more, the bearer token of the HTTP APIs"
    )
    keyring: SecretStr = Field(
        SecretStr(""),
        description="keys, <id>:<base64url of 64 bytes> each, for fields that are kept encrypted",
    )
    pack: Path | None = Field(None, description="the folder of the pack that decides")
    model: Path | None = Field(
        None, description="the folder of a trained model that scores with the pack's features"
    )
    webhook_url: str = Field("", pattern=_URL, description="an http(s) address to deliver to")
    intake_url: str = Field("", pattern=_URL, description="the http(s) address of intake")
    registry_url: str = Field("", pattern=_URL, description="the http(s) address of registry")
    risk_url: str = Field("", pattern=_URL, description="the http(s) address of risk")
    alerts_url: str = Field("", pattern=_URL, description="the http(s) address of alerts")
    console_url: str = Field("", pattern=_URL, description="the http(s) address of console")
    log_form: Literal["json", "console"] = Field("console", description="json or console")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )

    @field_validator("db_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text != "sqlite" and not text.startswith(("postgresql://", "postgresql+psycopg://")):
            raise ValueError("neither sqlite nor postgresql://...")
        return url

    @field_validator("token")
    @classmethod
    def _long_token(cls, token: SecretStr) -> SecretStr:
        if token.get_secret_value() and len(token.get_secret_value()) < 16:  # noqa: PLR2004 - as told
            raise ValueError("shorter than 16 characters")
        return token

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only from `load`, which has read the environment and the secret files."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def database_url(self, service: str) -> str:
        """Return the SQLAlchemy URL of a service's own database."""
        url = self.db_url.get_secret_value()
        return f"sqlite:///{self.data_dir / service}.db" if url == "sqlite" else url

    def service_urls(self) -> dict[str, str]:
        """Return the addresses given for other services, without a slash at the end."""
        found = {name: str(getattr(self, f"{name}_url")).rstrip("/") for name in SERVICES}
        return {name: url for name, url in found.items() if url}


def load(environ: Mapping[str, str] | None = None, **given: object) -> Settings:
    """Return the checked settings; `given` (field names) goes before the environment.

    Raises:
        WrongUse: one setting is wrong; its fault names the variable.
        Faults: several are.
    """
    environ = os.environ if environ is None else environ
    values, faults = _from_environment(environ)
    try:
        settings = Settings.model_validate({**values, **given})
    except ValidationError as exc:
        faults += [_fault(str(error["loc"][0]), values) for error in exc.errors()]
        raise _told(faults) from exc
    faults += _contradictions(settings)
    if faults:
        raise _told(faults)
    return settings


def described() -> str:
    """Return every variable with what it may hold, a line each; a secret's may name a file."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = default.get_secret_value() if isinstance(default, SecretStr) else default
        variable = f"{PREFIX}{name}".upper() + ("[_FILE]" if name in _SECRETS else "")
        standard = f" (default: {shown})" if shown not in (None, "") else ""
        lines.append(f"  {variable:<26} {field.description}{standard}")
    return "\n".join(lines)


def ensure_token(settings: Settings) -> str:
    """Return the token of the HTTP APIs; in embedded mode one is made and kept in `data_dir`."""
    if token := settings.token.get_secret_value():
        return token
    path = settings.data_dir / "token"
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        token = path.read_text("utf-8").strip()
        if not token:
            raise WrongUse(_token_fault(path)) from None
        return token
    token = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    return token


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    names = list(Settings.model_fields)
    values: dict[str, str] = {}
    faults: list[Fault] = []
    known = {f"{PREFIX}{name}".upper(): name for name in names}
    files = {f"{PREFIX}{name}_FILE".upper(): name for name in _SECRETS}
    for variable, value in environ.items():
        if variable in known:
            values[known[variable]] = value
        elif variable in files:
            _read_secret(variable, value, files[variable], values, faults)
        elif near := _near(variable, [*known, *files]):
            faults.append(
                Fault(variable, near, "a name that is no setting", f"did you mean {near}?")
            )
    return values, faults


def _near(variable: str, names: Sequence[str]) -> str | None:
    """Return the setting that a variable of ours was probably meant to be."""
    if not variable.startswith(PREFIX):
        return None
    rest = [name.removeprefix(PREFIX) for name in names]
    near = difflib.get_close_matches(variable.removeprefix(PREFIX), rest, 1, _TYPO)
    return PREFIX + near[0] if near else None


def _read_secret(
    variable: str, path: str, name: str, values: dict[str, str], faults: list[Fault]
) -> None:
    try:
        values[name] = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        faults.append(
            Fault(
                where=variable,
                found=f"a path whose file gives {type(exc).__name__}",
                expected="a readable text file that holds the secret",
                remedy="correct the path or the file's rights",
            )
        )


def _fault(name: str, values: Mapping[str, str]) -> Fault:
    value = values.get(name)
    return Fault(
        where=f"{PREFIX}{name}".upper(),
        found="a value of another kind" if value is None else f"text of length {len(value)}",
        expected=str(Settings.model_fields[name].description),
        remedy="correct the variable, or leave it out for the default",
        code="setting",
    )


def _contradictions(settings: Settings) -> list[Fault]:
    faults = []
    if settings.mode == "deployed" and not settings.token.get_secret_value():
        faults.append(
            Fault(
                where=f"{PREFIX}TOKEN",
                found="nothing",
                expected="a bearer token of 16 characters or more, the same for all services",
                remedy=f"set it, or {PREFIX}TOKEN_FILE to the path of a file with it",
                code="setting",
            )
        )
    if settings.risk_engine == "faust" and settings.bus_url == "sqlite":
        faults.append(
            Fault(
                where=f"{PREFIX}RISK_ENGINE",
                found="faust with the bus in SQLite",
                expected="kafka://host:port as bus, which is all that Faust reads",
                remedy=f"set {PREFIX}BUS_URL, or leave {PREFIX}RISK_ENGINE out",
                code="setting",
            )
        )
    if settings.mode == "deployed" and settings.bus_url == "sqlite":
        faults.append(
            Fault(
                where=f"{PREFIX}BUS_URL",
                found="sqlite",
                expected="kafka://host:port, because several processes share the bus",
                remedy=f"set it, or {PREFIX}MODE=embedded to run all services in one process",
                code="setting",
            )
        )
    return faults


def _token_fault(path: Path) -> Fault:
    return Fault(
        where=path.name,
        found="an empty file",
        expected="the token of the HTTP API",
        remedy="remove the file: the next start makes a new token",
    )


def _told(faults: list[Fault]) -> WrongUse | Faults:
    return WrongUse(faults[0]) if len(faults) == 1 else Faults("settings", faults)
