"""Delete a collection: its files, then its rows; its name remembers how far it had come."""

from service.core.upkeep import Kind
from service.engine.lease import Lease
from service.failpoints import reach
from service.index.demolish import remove_folder
from service.index.files import hash_file
from service.ledger import collections, dropping, metrics, tasks
from service.maintenance.work import Dropped, Result, Work


def run(work: Work) -> Result:
    """Raises Dropped at the end, when lease and task are gone; Refused where the folder is another's.

    What made it true is the order, which has let nothing in since: so files go before rows, and a crash in between
    leaves rows that say what is still to be done.
    """
    holding = work.holding
    state, lease = holding.state, holding.lease
    freed = remove_folder(state.folder, state.id, state.store_id, _is_proven(work), work.check)
    for remove_some in dropping.steps(state.id):
        while _with_lease(lease, remove_some):
            work.check()
            reach("drop.rows")
    with lease.write() as c:
        collections.remember(c, collections.by_id(c, state.id), lease.token)
        dropping.finish(c, state.id)
        tasks.fail_all(c, state.id, "deleted", "the collection is gone", but=work.task.id)
        work.done({"bytes": freed, "generation": state.generation})(c)
        metrics.add(c, "ingest_maintenance_total", 1, kind=Kind.DROP, outcome="done")
    reach("drop.forgotten")
    raise Dropped


def _is_proven(work: Work) -> bool:
    """Whether the newest commit record proves that the folder is this collection's."""
    state = work.holding.state
    if state.parent is None:
        return False
    path = state.folder / state.parent.file
    return path.exists() and hash_file(path)[0] == state.parent.sha256


def _with_lease(lease: Lease, remove_some: dropping.Some) -> bool:
    with lease.write() as c:
        return remove_some(c)
