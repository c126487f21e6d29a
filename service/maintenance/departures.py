"""Order that a document, or a whole collection, leaves or comes back; loads nothing heavy, so that the API may."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.core.job import Verb
from service.core.keys import file_of
from service.core.upkeep import Kind
from service.errors import Conflict, NotFound
from service.ledger import collections, documents, jobs, tasks
from service.ledger.database import AnyRow
from service.maintenance.orders import Orders, view

Which = Mapping[str, Any]  # doc_id or key


def withdraw(orders: Orders, collection: str, which: Which, purge: bool = False) -> dict[str, Any]:
    """Order a withdrawal, and with `purge` that all generations lose the text; the task. Raises NotFound, Conflict."""
    with orders.ledger.write() as c:
        row = collections.by_name(c, collection)
        options = {"key": _document(c, row, which).key}
        # Out at once, also beside a job; what rewrites many files waits for the job's end.
        task = tasks.create(c, row, Kind.WITHDRAW, options)
        return view(tasks.create(c, row, Kind.PURGE, options) if purge else task)


def restore(orders: Orders, collection: str, which: Which) -> dict[str, Any]:
    """Order that a withdrawn document may come back; the task. Raises NotFound, Conflict."""
    with orders.ledger.write() as c:
        row = collections.by_name(c, collection)
        document = _document(c, row, which)
        _refuse_unless_withdrawn(document)
        file = documents.by_key(c, row.id, file_of(document.key))
        if document.record and file is not None and file.state == "withdrawn":
            raise Conflict(
                f"{document.key!r} cannot come back while its file is withdrawn: restore {file.key!r}."
            )
        return view(tasks.create(c, row, Kind.RESTORE_DOCUMENT, {"key": document.key}))


def drop(orders: Orders, name: str) -> dict[str, Any]:
    """Order that a collection is deleted, and cancel its jobs; the task. Irrevocable from here on. Raises NotFound."""
    with orders.ledger.write() as c:
        row = collections.by_name(c, name)
        ordered = tasks.ordered(c, row.id, Kind.DROP)
        if ordered is not None:
            return view(ordered)
        for job in jobs.unfinished_in(c, row.id):
            if Verb.CANCEL in jobs.allowed(c, job)[0]:
                jobs.ask(c, job.id, Verb.CANCEL)
        tasks.fail_all(c, row.id, "deleted", "the collection is being deleted")
        collections.change(c, row.id, state="deleting")
        return view(tasks.create(c, row, Kind.DROP, {}))


def _document(c: Connection, collection: AnyRow, which: Which) -> AnyRow:
    if "doc_id" in which:
        row = documents.by_id(c, collection.id, which["doc_id"])
    else:
        row = documents.by_key(c, collection.id, which["key"])
    if row is None:
        raise NotFound("document", which.get("doc_id") or which.get("key"))
    return row


def _refuse_unless_withdrawn(document: AnyRow) -> None:
    if document.state != "withdrawn":
        raise Conflict(f"{document.key!r} is {document.state}: only what is withdrawn can be restored.")
