"""What config.toml and the environment say, read once, checked once, frozen."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from service.errors import BadRequest
from service.sections import (
    AUTO,
    ChunkingSection,
    EmbeddingSection,
    IndexSection,
    IngestionSection,
    LedgerSection,
    ServiceSection,
)

PREFIX = "TIDESTONE_"
ELSEWHERE = "config.toml is not in the current folder: TIDESTONE_CONFIG says where it is."
PLAIN_NAMES = {  # what other containers of a RAG stack already set
    "INGESTION_CHECKPOINT_DIR": "ingestion.checkpoint_dir",
    "INGESTION_BATCH_SIZE": "ingestion.batch_size",
    "INGESTION_WORKERS": "ingestion.workers",
}

# CONFIG and FAILPOINTS are Tidestone's own, the others belong to docker-compose.yml and to the tests.
_OTHERS = ("CONFIG", "FAILPOINTS", "PORT", "LIBRARY", "MEMORY", "TEST_MODEL")
_LAST = re.compile(r"\.|__")
_SET_BY_KUBERNETES = re.compile(r"TIDESTONE_(SERVICE_HOST|(SERVICE_)?PORT(_\w+)?)")


class Settings(BaseSettings):
    """All sections; `origins` says of each "section.key" where its value comes from."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )
    service: ServiceSection = ServiceSection()
    ingestion: IngestionSection = IngestionSection()
    embedding: EmbeddingSection = EmbeddingSection()
    chunking: ChunkingSection = ChunkingSection()
    index: IndexSection = IndexSection()
    ledger: LedgerSection = LedgerSection()
    origins: Mapping[str, str] = Field(default={}, exclude=True)
    folder: Path = Field(default=Path("."), exclude=True)  # config.toml's, or the current one

    @property
    def data_dir(self) -> Path:
        """Ledger and collections, which only ever move together."""
        return self.ingestion.checkpoint_dir or self.service.data_dir

    @model_validator(mode="after")
    def _chunks_fit(self) -> "Settings":
        if self.chunking.max_tokens > self.embedding.max_tokens:
            raise ValueError("chunking.max_tokens is more than embedding.max_tokens")
        if 2 * self.chunking.overlap_tokens > self.chunking.max_tokens:
            raise ValueError("chunking.overlap_tokens is more than half of chunking.max_tokens")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` has merged the sources already: only it can tell afterwards which one a value came from."""
        return (init_settings,)


Found = dict[str, tuple[Any, str]]  # "section.key" -> value, where it comes from

_SECTIONS = {
    name: field.annotation.model_fields
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
KEYS = tuple(f"{section}.{key}" for section, fields in _SECTIONS.items() for key in fields)
_EXAMPLES: dict[type, str] = {tuple: '["*.md"]', dict: '{"docs": "/srv/docs"}'}
_AS_JSON = {
    f"{section}.{key}": _EXAMPLES[type(field.default)]
    for section, fields in _SECTIONS.items()
    for key, field in fields.items()
    if type(field.default) in _EXAMPLES
}
_PATHS = ("service.data_dir", "ingestion.checkpoint_dir", "embedding.model_path", "service.library_roots")


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Overrides ("section.key" -> value) first, then TIDESTONE_*, the plain names, config.toml, defaults.

    Relative paths count from the folder of config.toml when they are written there (or are defaults), else from
    the current one. Raises BadRequest that names the key at fault and what was probably meant.
    """
    file = _config_file()
    folder = file.parent if file else Path.cwd()
    asked = {key: (value, "command line") for key, value in (overrides or {}).items() if value is not None}
    written = {"service.data_dir": ("data", "default"), **(_from_file(file) if file else {})}
    found = {**_absolute(written, folder), **_absolute(_from_environment() | asked, Path.cwd())}
    values: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for name, (value, _) in found.items():
        section, _, key = name.partition(".")
        values[section][key] = value
    origins = {key: found[key][1] if key in found else "default" for key in KEYS}
    try:
        return Settings.model_validate({**values, "origins": origins, "folder": folder})
    except ValidationError as error:
        raise BadRequest(_explained(error, origins)) from error


def flat(settings: Settings) -> dict[str, Any]:
    """ "section.key" -> value, ready for JSON."""
    dumped = settings.model_dump(mode="json")
    return {key: dumped[key.partition(".")[0]][key.partition(".")[2]] for key in KEYS}


def variable_of(key: str) -> str:
    """The environment variable that sets a "section.key"."""
    return PREFIX + key.replace(".", "__").upper()


def _config_file() -> Path | None:
    named = os.environ.get(PREFIX + "CONFIG")
    file = Path(named or "config.toml").absolute()
    if file.is_file():
        return file
    if named:
        raise BadRequest(f"{PREFIX}CONFIG names {file}, which is not there: correct or unset it.")
    return None


def _from_file(file: Path) -> Found:
    try:
        tables = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadRequest(f"{file} cannot be read as TOML: {error}") from error
    found: Found = {}
    for section, table in tables.items():
        if section not in _SECTIONS or not isinstance(table, dict):
            raise _unknown(section, file.name, (*_SECTIONS, *KEYS))
        for key, value in table.items():
            if key not in _SECTIONS[section]:
                raise _unknown(f"{section}.{key}", file.name, KEYS)
            found[f"{section}.{key}"] = (value, file.name)
    return found


def _from_environment() -> Found:
    for name in os.environ:
        _check_name(name)
    plain = {key: (os.environ[name], name) for name, key in PLAIN_NAMES.items() if os.environ.get(name)}
    try:
        sections = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise BadRequest(f"{error}: write lists and tables in the environment as JSON.") from error
    named = {
        f"{section}.{key}": (value, variable_of(f"{section}.{key}"))
        for section, values in sections.items()
        for key, value in values.items()
    }
    return {**plain, **named}


def _check_name(name: str) -> None:
    """Raise BadRequest for a variable that looks like a setting and is none."""
    if not name.upper().startswith(PREFIX) or name.removeprefix(PREFIX) in _OTHERS:
        return
    section, _, rest = name.removeprefix(PREFIX).lower().partition("__")
    key = rest.partition("__")[0] if section == "service" and rest.startswith("library_roots__") else rest
    if f"{section}.{key}" in KEYS:
        if key == rest:
            _check_json(name, f"{section}.{key}")
        return
    if "KUBERNETES_SERVICE_HOST" in os.environ and _SET_BY_KUBERNETES.fullmatch(name):
        return
    raise _unknown(name, "the environment", [variable_of(key) for key in KEYS])


def _check_json(name: str, key: str) -> None:
    """Raise BadRequest for a list or table that is not written as JSON: pydantic would name the section only."""
    value = os.environ[name]
    if key not in _AS_JSON or not value:
        return
    try:
        json.loads(value)
    except ValueError as error:
        raise BadRequest(f"{name} has to be JSON, such as {_AS_JSON[key]!r}, not {value!r}.") from error


def _unknown(name: str, where: str, known: Sequence[str]) -> BadRequest:
    nearest = _nearest(name, known)
    meant = f"Did you mean {nearest}?" if nearest else "`tidestone config` lists the settings."
    return BadRequest(f"{where}: there is no setting {name!r}. {meant}")


def _nearest(name: str, known: Sequence[str]) -> str:
    """What was probably meant: a slip of the finger, else the key in another section, else what is similar."""
    by_key = {_LAST.split(full)[-1]: full for full in known}
    slips = get_close_matches(name, known, 1, 0.9)
    elsewhere = [by_key[key] for key in get_close_matches(_LAST.split(name)[-1], by_key, 1, 0.8)]
    return next(iter([*slips, *elsewhere, *get_close_matches(name, known, 1)]), "")


def _absolute(found: Found, base: Path) -> Found:
    """The same with relative paths resolved against `base`."""
    return {
        key: (_absolute_value(value, base) if key in _PATHS else value, origin)
        for key, (value, origin) in found.items()
    }


def _absolute_value(value: Any, base: Path) -> Any:
    if isinstance(value, dict):
        return {name: _absolute_value(path, base) for name, path in value.items()}
    if not isinstance(value, str | Path) or value == AUTO:
        return value  # what is not a path is the validation's to refuse
    return base / Path(value).expanduser()


def _explained(error: ValidationError, origins: Mapping[str, str]) -> str:
    return "; ".join(_lines(error, origins))


def _lines(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    told = set()
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"][:2])
        if name not in told:  # a value that is neither of two types is told twice
            told.add(name)
            where = f"{name} ({origins.get(name, '?')}): " if name else ""
            got = f", not {problem['input']!r}" if name else ""
            yield f"{where}{problem['msg'].removeprefix('Value error, ')}{got}"


def armed_failpoints() -> str:
    """What tests want to happen in a working process; see `service.failpoints`."""
    return os.environ.get(PREFIX + "FAILPOINTS", "")
