"""WIRES: the only module that knows every adapter.

What is heavy is imported where it is needed: a process that only looks at jobs never loads FAISS or a model.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from service import __version__
from service.core.space import Space
from service.engine.jobs import Jobs
from service.engine.once import Once
from service.engine.settings import EngineSettings
from service.errors import BadRequest, Refused, TidestoneError
from service.index.files import make_data_folder
from service.ledger.database import AnyRow, Ledger, sqlite_url, store_identity
from service.ledger.filesystem import require_safe
from service.ledger.revision import is_current
from service.sections import AUTO
from service.settings import Settings

if TYPE_CHECKING:
    from service.engine.planning import Planner
    from service.engine.search import Search
    from service.engine.tools import Tools
    from service.maintenance.collector import Collector
    from service.maintenance.keeper import Keeper
    from service.maintenance.merger import Merger
    from service.maintenance.scrubber import Scrubber
    from service.sources.library import Library
    from service.supervisor import Supervisor
    from service.web.services import Services

ELSEWHERE = "config.toml is not in the current folder: TIDESTONE_CONFIG says where it is."
BAKED_IN = Path("/opt/tidestone/models")  # where the container image has its model
UNFINISHED_RESTORE = "restoring.json"  # see service/maintenance/put_back.py
TOKENIZER = "service.embedders.tokens:Tokenizer"


@dataclass(frozen=True, slots=True)
class Model:
    """The configured model, known by its file's head; nothing is loaded."""

    path: Path
    space: Space
    weights: str  # as a collection remembers them


def engine_settings(settings: Settings) -> EngineSettings:
    """What the engine is told."""
    ingestion = settings.ingestion
    return EngineSettings(
        data_dir=settings.data_dir,
        batch_size=ingestion.batch_size,
        deletes=ingestion.deletes,
        commit_seconds=ingestion.commit_seconds,
        parse_workers=_workers(settings),
        max_failures_ratio=ingestion.max_failures_ratio,
        max_retries=ingestion.max_retries,
        min_free_bytes=ingestion.min_free_bytes,
        max_live_segments=settings.index.max_live_segments,
        retain_jobs=settings.index.retain_jobs,
        retain_days=settings.index.retain_days,
        gc_grace_seconds=settings.index.gc_grace_seconds,
        scrub_bytes_per_second=settings.index.scrub_bytes_per_second,
        max_chunk_tokens=settings.chunking.max_tokens,
        overlap_tokens=settings.chunking.overlap_tokens,
    )


def open_ledger(settings: Settings, create: bool = True) -> Ledger:
    """The ledger with the newest schema. Raises BadRequest, and Refused: also without `create` and a ledger."""
    url = sqlite_url(settings.data_dir) if settings.ledger.url == "sqlite" else settings.ledger.url
    if (settings.data_dir / UNFINISHED_RESTORE).exists():
        raise Refused(
            f"A restore into {settings.data_dir} has not come to its end: run the same command again."
        )
    if settings.ledger.url == "sqlite":
        _refuse_a_lost_ledger(settings.data_dir)
    if create:
        _make_data_dir(settings.data_dir)
    elif settings.ledger.url == "sqlite" and not (settings.data_dir / "tidestone.db").exists():
        raise Refused(
            f"There is no ledger in {settings.data_dir}: nothing is ingested there yet, or {ELSEWHERE}"
        )
    if settings.ledger.url == "sqlite":
        require_safe(settings.data_dir)
    try:
        ledger = Ledger.open(url)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise BadRequest(f"ledger.url {url!r} cannot be used: {error}") from error
    if not is_current(ledger):
        from service.ledger.migrate import migrate

        migrate(ledger)
    return ledger


def find_model(settings: Settings) -> Model:
    """The configured model. Raises Refused, which says how to get one."""
    from service.embedders.gguf_facts import read_space

    embedding = settings.embedding
    path, weights = embedding.model_path, ""
    if str(path) == AUTO:
        path, weights = _default_model(settings)
    elif not path.is_file():
        raise Refused(f"embedding.model_path names {path}, which is not there: correct it, or leave it out.")
    space = read_space(
        path,
        token_limit=embedding.max_tokens,
        normalised=embedding.normalize,
        prefix=embedding.prefix,
        query_prefix=embedding.query_prefix,
    )
    if settings.chunking.max_tokens > space.max_tokens:
        raise BadRequest(f"chunking.max_tokens is more than the {space.max_tokens} tokens that {path} takes.")
    return Model(path, space, weights or space.weights)


def make_jobs(settings: Settings, ledger: Ledger) -> Jobs:
    """The use cases of jobs; the model's file is looked at when a job is made, not before."""
    return _jobs_with(Once(lambda: find_model(settings)), settings, ledger)


def _jobs_with(model: Once[Model], settings: Settings, ledger: Ledger) -> Jobs:
    return Jobs(ledger, engine_settings(settings), lambda: (model.get().space, model.get().weights))


@contextmanager
def open_tools(settings: Settings, ledger: Ledger) -> Iterator["Tools"]:
    """What a worker needs; its children end with the block. Raises as `find_model` does."""
    from service.embedders.pool import LlamaPool
    from service.engine.tools import Tools
    from service.maintenance.reindex import TENURES
    from service.parsers.sandbox import Sandbox, SandboxSettings

    model = find_model(settings)
    ingestion, chunking = settings.ingestion, settings.chunking
    preparer = Sandbox(
        SandboxSettings(
            counter=TOKENIZER,
            model_path=str(model.path),
            prefix=model.space.prefix,
            max_tokens=chunking.max_tokens,
            overlap_tokens=chunking.overlap_tokens,
            max_file_bytes=ingestion.max_file_bytes,
        )
    )
    embedder = LlamaPool(model.path, model.space, _number(settings.embedding.children))

    def open_source(job: AnyRow) -> "Library":
        return _library(settings, Path(job.path), job.options.get("folder", ""))

    with ledger.write() as c:
        store_id = store_identity(c).store_id
    try:
        yield Tools(
            ledger,
            store_id,
            engine_settings(settings),
            preparer,
            embedder,
            open_source,
            make_keeper(settings, ledger),
            TENURES,
            embedder_restarts=lambda: embedder.restarts,
        )
    finally:
        preparer.close()
        embedder.close()


def _library(settings: Settings, path: Path, folder: str) -> "Library":
    """A folder as a source. Raises Refused."""
    from service.sources.library import Library
    from service.sources.wanted import Wanted

    if (path / folder).resolve().is_relative_to(settings.data_dir.resolve()):
        raise Refused(f"{path} is where Tidestone keeps its own data: name another folder.")
    roots = [*settings.service.library_roots.values()]
    # A folder that the command line names is bound to nothing, so neither are its links.
    bound = any(path.is_relative_to(root.resolve()) for root in roots)
    wanted = Wanted(settings.ingestion.include, settings.ingestion.exclude)
    return Library(path, wanted, never=settings.data_dir, within=roots if bound else ())


def make_planner(settings: Settings, ledger: Ledger) -> "Planner":
    """Who tells what a job would do."""
    from service.engine.planning import Planner
    from service.parsers.sandbox import recipe_of

    chunking = settings.chunking
    recipe = recipe_of(chunking.max_tokens, chunking.overlap_tokens).fingerprint
    return Planner(ledger, engine_settings(settings), partial(_library, settings), lambda: recipe)


def make_keeper(settings: Settings, ledger: Ledger) -> "Keeper":
    """Who does the maintenance in this process."""
    from service.maintenance.duties import DUTIES
    from service.maintenance.keeper import Keeper

    return Keeper(ledger, engine_settings(settings), DUTIES)


def make_merger(settings: Settings, ledger: Ledger) -> "Merger":
    """Who makes large merges outside the lease."""
    from service.maintenance.merger import Merger, in_child

    return Merger(ledger, engine_settings(settings), in_child)


def make_collector(settings: Settings, ledger: Ledger) -> "Collector":
    """Who orders that garbage is collected."""
    from service.maintenance.collector import Collector

    return Collector(ledger, engine_settings(settings))


def make_scrubber(settings: Settings, ledger: Ledger) -> "Scrubber":
    """Who reads all files again, slowly."""
    from service.maintenance.scrubber import Scrubber

    return Scrubber(ledger, engine_settings(settings))


def make_search(settings: Settings, ledger: Ledger) -> "Search":
    """Search; the model is loaded, in one child, when a text is first asked for."""
    from service.embedders.pool import LlamaPool
    from service.engine.search import Search

    def make_embedder() -> LlamaPool:
        model = find_model(settings)
        return LlamaPool(model.path, model.space, children=1)

    return Search(ledger, engine_settings(settings), make_embedder)


def make_services(settings: Settings, ledger: Ledger, supervisor: "Supervisor") -> "Services":
    """What the web application is given."""
    from service.web.services import Services

    model = Once(lambda: find_model(settings))

    def problem() -> str:
        try:
            path = model.get().path
        except (TidestoneError, OSError) as error:
            return str(error)
        return "" if path.exists() else f"{path} is gone"

    return Services(
        jobs=_jobs_with(model, settings, ledger),
        make_search=lambda: make_search(settings, ledger),
        make_planner=lambda: make_planner(settings, ledger),
        version=__version__,
        library_roots=settings.service.library_roots,
        model_problem=problem,
        running=supervisor.running,
        ingestion_enabled=settings.ingestion.enabled,
        requests_per_second=settings.service.requests_per_second,
    )


def _default_model(settings: Settings) -> tuple[Path, str]:
    from service.embedders.machine import choose_weights
    from service.embedders.model import default_model_path

    asked = settings.embedding.weights
    kinds = ["bf16", "f16"] if choose_weights() == "bf16" else ["f16", "bf16"]
    for weights in kinds if asked == AUTO else [asked]:  # float weights share one space
        for folder in (settings.folder / "models", BAKED_IN):
            path = default_model_path(folder, weights)
            if path.exists():
                return path, weights
    raise Refused(
        f"There is no model in {settings.folder / 'models'} or {BAKED_IN}: `tidestone model build` makes it, "
        f"or name a GGUF file as embedding.model_path, or {ELSEWHERE}"
    )


def _refuse_a_lost_ledger(folder: Path) -> None:
    """A new one would know nothing of what is there."""
    if not (folder / "tidestone.db").exists() and any((folder / "collections").glob("*/commits/*.json")):
        raise Refused(
            f"{folder} has collections and no ledger: `tidestone repair --rebuild` makes it anew from their commit "
            "records, or put the ledger back from a backup."
        )


def _make_data_dir(folder: Path) -> None:
    try:
        make_data_folder(folder)
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}. Choose another data_dir.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"{folder} cannot be written to: give this user the right, or choose another data_dir.")


def _workers(settings: Settings) -> int:
    from service.embedders.machine import usable_cores

    # Parsing is cheap beside embedding: one parser feeds about four embedders.
    return _number(settings.ingestion.workers) or max(1, usable_cores() // 4)


def _number(setting: int | str) -> int | None:
    return setting if isinstance(setting, int) else None
