"""WIRES: the only module that knows every adapter.

What is heavy is imported where it is needed: a process that only looks at jobs never loads FAISS or a model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service import __version__
from service.configured_model import Model, find_model
from service.engine.jobs import Jobs
from service.engine.once import Once
from service.engine.settings import EngineSettings
from service.errors import Refused, TidestoneError
from service.ledger.database import AnyRow, Ledger, store_identity
from service.settings import Settings

if TYPE_CHECKING:
    from service.engine.planning import Planner
    from service.engine.search import Search
    from service.engine.tools import Tools
    from service.maintenance.collector import Collector
    from service.maintenance.keeper import Keeper
    from service.maintenance.merger import Merger
    from service.maintenance.scrubber import Scrubber
    from service.ports import Embedder
    from service.sources.library import Library
    from service.supervisor import Supervisor
    from service.web.services import Services

TOKENIZER = "service.embedders.tokens:Tokenizer"


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
        approximate_above=settings.index.approximate_above,
        retain_jobs=settings.index.retain_jobs,
        retain_days=settings.index.retain_days,
        gc_grace_seconds=settings.index.gc_grace_seconds,
        scrub_bytes_per_second=settings.index.scrub_bytes_per_second,
        max_chunk_tokens=settings.chunking.max_tokens,
        overlap_tokens=settings.chunking.overlap_tokens,
    )


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
            make_keeper(settings, ledger, embedder),
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


def make_keeper(settings: Settings, ledger: Ledger, embedder: "Embedder | None" = None) -> "Keeper":
    """Who does the maintenance in this process; without an embedder a repair leaves that to the next job."""
    from service.maintenance.duties import DUTIES
    from service.maintenance.keeper import Keeper

    return Keeper(ledger, engine_settings(settings), DUTIES, embedder=embedder)


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


def _workers(settings: Settings) -> int:
    from service.embedders.machine import usable_cores

    # Parsing is cheap beside embedding: one parser feeds about four embedders.
    return _number(settings.ingestion.workers) or max(1, usable_cores() // 4)


def _number(setting: int | str) -> int | None:
    return setting if isinstance(setting, int) else None
