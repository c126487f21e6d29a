"""Where each setting comes from, and what is said of those that are wrong."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from service.errors import BadRequest
from service.settings import KEYS, flat, load

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and an environment that says nothing."""
    for name in os.environ:
        if name.startswith(("TIDESTONE_", "INGESTION_", "KUBERNETES_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(folder: Path, text: str) -> None:
    (folder / "config.toml").write_text(text)


def test_each_source_outranks_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settled(**overrides: int) -> tuple[int, str]:
        settings = load({f"ingestion.{name}": value for name, value in overrides.items()})
        return settings.ingestion.batch_size, settings.origins["ingestion.batch_size"]

    assert settled() == (100, "default")
    _write(folder, "[ingestion]\nbatch_size = 1")
    assert settled() == (1, "config.toml")
    monkeypatch.setenv("INGESTION_BATCH_SIZE", "2")
    assert settled() == (2, "INGESTION_BATCH_SIZE")
    monkeypatch.setenv("TIDESTONE_INGESTION__BATCH_SIZE", "3")
    assert settled() == (3, "TIDESTONE_INGESTION__BATCH_SIZE")
    assert settled(batch_size=4) == (4, "command line")


def test_sources_of_one_section_complete_one_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(folder, "[ingestion]\nmax_retries = 1\ndeletes = 'off'")
    monkeypatch.setenv("TIDESTONE_INGESTION__MAX_RETRIES", "7")
    monkeypatch.setenv("INGESTION_WORKERS", "5")
    ingestion = load().ingestion
    assert (ingestion.max_retries, ingestion.deletes, ingestion.workers) == (7, "off", 5)


def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTION_BATCH_SIZE", "")
    monkeypatch.setenv("TIDESTONE_SERVICE__PORT", "")
    assert (load().ingestion.batch_size, load().service.port) == (100, 8080)


def test_relative_paths_in_the_file_begin_at_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "etc").mkdir()
    (folder / "etc" / "my.toml").write_text(
        "[service]\ndata_dir = 'd'\nlibrary_roots = {docs = '../docs', abs = '/abs'}\n"
        "[embedding]\nmodel_path = 'm.gguf'"
    )
    monkeypatch.setenv("TIDESTONE_CONFIG", "etc/my.toml")
    settings = load()
    assert settings.data_dir == folder / "etc" / "d"
    assert settings.embedding.model_path == folder / "etc" / "m.gguf"
    assert settings.service.library_roots == {"docs": folder / "etc" / "../docs", "abs": Path("/abs")}
    monkeypatch.setenv("TIDESTONE_EMBEDDING__MODEL_PATH", "m.gguf")
    assert load().embedding.model_path == folder / "m.gguf"


def test_a_default_path_begins_at_the_file_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().data_dir == folder / "data"
    (folder / "etc").mkdir()
    _write(folder / "etc", "")
    monkeypatch.setenv("TIDESTONE_CONFIG", str(folder / "etc" / "config.toml"))
    assert load().data_dir == folder / "etc" / "data"


def test_the_checkpoint_dir_moves_everything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(folder, "[service]\ndata_dir = '/elsewhere'")
    monkeypatch.setenv("INGESTION_CHECKPOINT_DIR", "moved")
    assert load().data_dir == folder / "moved"


def test_lists_and_tables_in_the_environment_are_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDESTONE_INGESTION__INCLUDE", '["*.md", "*.txt"]')
    monkeypatch.setenv("TIDESTONE_SERVICE__LIBRARY_ROOTS", '{"docs": "x"}')
    assert load().ingestion.include == ("*.md", "*.txt")
    assert load().service.library_roots == {"docs": folder / "x"}
    monkeypatch.setenv("TIDESTONE_INGESTION__INCLUDE", "*.md")
    with pytest.raises(BadRequest, match=r"TIDESTONE_INGESTION__INCLUDE.*'\[\"\*\.md\"\]'.*not '\*\.md'"):
        load()


def test_a_table_in_the_environment_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDESTONE_SERVICE__LIBRARY_ROOTS", "/srv")
    with pytest.raises(BadRequest, match=r"TIDESTONE_SERVICE__LIBRARY_ROOTS .*docs.*, not '/srv'"):
        load()
    monkeypatch.delenv("TIDESTONE_SERVICE__LIBRARY_ROOTS")
    monkeypatch.setenv("TIDESTONE_SERVICE__LIBRARY_ROOTS__docs", "/srv")
    assert load().service.library_roots == {"docs": Path("/srv")}


@pytest.mark.parametrize(
    ("text", "named", "meant"),
    [
        ("[service]\nprot = 1", "service.prot", "service.port"),
        ("[ingestion]\nbatchsize = 1", "ingestion.batchsize", "ingestion.batch_size"),
        ("[service]\nbatch_size = 1", "service.batch_size", "ingestion.batch_size"),
        ("batch_size = 1", "batch_size", "ingestion.batch_size"),
        ("[ingest]\nworkers = 1", "ingest", "ingestion"),
        ("[weather]\nsun = 1", "weather", "tidestone config"),
        ("[chunking]\nmax_token = 1", "chunking.max_token", "chunking.max_tokens"),
        ("[servic]\n", "servic", "service"),
    ],
)
def test_an_unknown_key_in_the_file_is_named_with_the_nearest(
    folder: Path, text: str, named: str, meant: str
) -> None:
    _write(folder, text)
    with pytest.raises(BadRequest) as caught:
        load()
    assert f"'{named}'" in str(caught.value)
    assert meant in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIDESTONE_SERVICE__PROT", "TIDESTONE_SERVICE__PORT"),
        ("TIDESTONE_SERVICE_PORT", "TIDESTONE_SERVICE__PORT"),
        ("TIDESTONE_BATCH_SIZE", "TIDESTONE_INGESTION__BATCH_SIZE"),
        ("TIDESTONE_SERVICE__BATCH_SIZE", "TIDESTONE_INGESTION__BATCH_SIZE"),
        ("TIDESTONE_INGESTION__INCLUDE__X", "TIDESTONE_INGESTION__INCLUDE"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(BadRequest, match=f"'{name}'. Did you mean {meant}"):
        load()


def test_variables_that_kubernetes_sets_for_a_service_of_this_name_are_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP_ADDR"):
        monkeypatch.setenv(f"TIDESTONE_{name}", "10.0.0.1")
    with pytest.raises(BadRequest):
        load()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert load().service.port == 8080


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[ingestion]\nbatch_size = 0", r"ingestion.batch_size \(config.toml\): .*, not 0"),
        ("[ingestion]\nbatch_size = 100001", "ingestion.batch_size"),
        ("[ingestion]\nworkers = 65", r"ingestion.workers \(config.toml\): .*, not 65"),
        ("[ingestion]\nworkers = 'many'", r"ingestion.workers \(config.toml\): .*, not 'many'"),
        ("[service]\nport = 70000", "service.port"),
        ("[service]\ndata_dir = 5", "service.data_dir"),
        ("[ingestion]\ndeletes = 'all'", "'off' or 'safe'"),
        ("[chunking]\nmax_tokens = 1000", "more than embedding.max_tokens"),
        ("[chunking]\noverlap_tokens = 200", "more than half"),
        ("[service", "cannot be read as TOML"),
    ],
)
def test_a_wrong_value_is_named_with_its_origin_on_one_line(folder: Path, text: str, told: str) -> None:
    _write(folder, text)
    with pytest.raises(BadRequest, match=told) as caught:
        load()
    assert "\n" not in str(caught.value)


def test_a_config_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDESTONE_CONFIG", "none.toml")
    with pytest.raises(BadRequest, match=r"none\.toml"):
        load()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().service.port = 1


def test_the_config_file_that_we_ship_shows_every_key_with_its_default(folder: Path) -> None:
    shipped = (ROOT / "config.toml").read_text()
    defaults = flat(load())
    shown = re.sub(r"^# (\w+ = )", r"\1", shipped, flags=re.MULTILINE)
    tables = tomllib.loads(shown)
    assert {f"{section}.{key}" for section, table in tables.items() for key in table} == set(KEYS)
    _write(folder, shown.replace('checkpoint_dir = "data"', ""))
    assert flat(load()) == defaults
