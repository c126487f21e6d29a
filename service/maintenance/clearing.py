"""What the start-up ladder leaves in a collection's folder although nothing names it."""

from service.index import scratch
from service.index.files import put_aside
from service.ledger import events
from service.maintenance.orphans import Named, files_in, orphans
from service.maintenance.work import Work


def clear_away(work: Work) -> None:
    """Remove abandoned merges, and put strangers beside the manifest aside."""
    holding = work.holding
    folder = holding.state.folder
    found = files_in(folder)
    with holding.ledger.read() as c:
        named = Named.of(c, holding.state.id)
    left = orphans(folder, found, named, holding.settings.gc_grace_seconds)
    _clear_scratch(work, [name for name in left if name.startswith(f"{scratch.FOLDER}/")])
    for name in left:
        if "/" not in name:
            put_aside(folder, name)
            said = {"file": name, "reason": "unknown"}
            with holding.lease.write() as c:
                events.record(c, "quarantined", said, collection_id=holding.state.id)


def _clear_scratch(work: Work, left: list[str]) -> None:
    folder = work.holding.state.folder
    if not left:
        return
    with scratch.only_merger(folder) as alone:
        if alone:  # then nobody makes a merge, and these belong to none that is to be taken in
            for name in left:
                (folder / name).unlink(missing_ok=True)
