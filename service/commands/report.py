"""What commands say of jobs, collections and documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.commands.console import say, show_facts, show_table, size, span

View = Mapping[str, Any]

_COUNTS = ("done", "unchanged", "skipped", "failed", "known_failed", "deleted")


def show_ingested(report: View) -> None:
    """The closing summary of `tidestone ingest`."""
    job, collection = report["job"], report["collection"]
    print(f"{job['id']} {job['state']}: {_counts(job)}")
    if job["reason"]:
        print(job["reason"].get("message", job["reason"].get("code")))
    show_facts(
        {
            "documents": f"{report['documents']} now, {collection.get('documents', 0)} in the collection",
            "vectors": collection.get("vectors", 0),
            "checkpoints": f"{report['checkpoints']} now, {collection.get('checkpoints', 0)} in all",
            "duration": span(report["seconds"]),
            "rate": f"{report['documents_per_minute']} documents a minute",
        }
    )
    for item in report["failures"]:
        say(f"failed: {item['path']}: {item['reason']} {item['detail'] or ''}".rstrip())
    _show_left_over(job, len(report["failures"]))
    _show_way_on(job)


def show_status(result: View) -> None:
    """All collections and the newest jobs."""
    show_collections(result["collections"])
    print()
    show_jobs(result["jobs"])


def show_jobs(jobs: Sequence[View]) -> None:
    """Jobs, one line each."""
    columns = ("job", "collection", "source", "state", "settled", "rate", "checkpoint")
    show_table(columns, [_job_row(job) for job in jobs])


def show_job(job: View) -> None:
    """One job in full."""
    progress = job["progress"]
    settled = f"{progress['settled']} of {progress['total'] if progress['total'] is not None else '?'}"
    show_facts(
        {
            "job": job["id"],
            "collection": job["collection"],
            "source": f"{job['source']['root']} ({job['source']['path']})",
            "state": job["state"],
            "stage": job["stage"],
            "reason": (job["reason"] or {}).get("message"),
            "settled": f"{settled}: {_counts(job)}",
            "chunks": f"{progress['chunks']}, {progress['chunks_reused']} of them reused",
            "rate": f"{progress['rate_per_second']} documents a second"
            if progress["rate_per_second"]
            else None,
            "time left": span(progress["eta_seconds"]) if progress["eta_seconds"] else None,
            "last checkpoint": job["last_checkpoint"],
            "deletes withheld": job["deletes_withheld"],
            "folders unreadable": job["folders_unreadable"],
            "created": job["created_at"],
            "finished": job["finished_at"],
            "allowed now": ", ".join(verb for verb, may in job["can"].items() if may) or "nothing",
        }
    )


def show_collections(found: Sequence[View]) -> None:
    """Collections, one line each."""
    columns = ("collection", "documents", "vectors", "generation", "checkpoints", "size", "last saved")
    names = ("name", "documents", "vectors", "generation", "checkpoints")
    show_table(columns, [[*(c[n] for n in names), size(c["size_bytes"]), c["last_saved"]] for c in found])


def show_plan(plan: View) -> None:
    """What a job would do, with the first files of each kind."""
    removal = plan["remove"]
    withheld = ", withheld: confirm with --deletes-digest " + removal["digest"] if removal["withheld"] else ""
    seconds = plan["estimate_seconds"]
    show_facts(
        {
            "found": f"{plan['discovered']} files",
            "to add": plan["add"]["files"],
            "to update": plan["update"]["files"],
            "unchanged": plan["unchanged"],
            "known to fail": plan["known_failed"] or None,
            "to remove": f"{removal['files']} files, {removal['documents']} documents{withheld}",
            "folders unreadable": plan["folders_unreadable"],
            "to read": size(plan["bytes"]),
            "estimate": None if seconds is None else span(seconds),
        }
    )
    for kind in ("add", "update", "remove"):
        for path in plan[kind]["paths"]:
            print(f"{kind:6}  {path}")


def show_documents(page: View) -> None:
    """Documents, one line each."""
    names = ("doc_id", "state", "chunks", "key", "reason", "title")
    show_table(names, [[document[name] for name in names] for document in page["documents"]])


def show_document(document: View) -> None:
    """One document with its chunks."""
    contents = document.get("contents", [])
    show_facts({name: value for name, value in document.items() if name != "contents"})
    for chunk in contents:
        print(f"\n[{chunk['ordinal']}] {chunk['tokens']} tokens\n{chunk['text']}")


def show_config(told: View) -> None:
    """Settings with their origins."""
    show_table(
        ("setting", "value", "origin"), [(key, told[key]["value"], told[key]["origin"]) for key in told]
    )


def show_checkpoints(page: View) -> None:
    """Checkpoints, one line each."""
    columns = ("generation", "batch", "kind", "at", "documents", "vectors", "size", "sha256")
    names = ("generation", "batch", "kind", "at", "documents", "vectors")
    shown = [
        [*(point[name] for name in names), size(point["size_bytes"]), point["sha256"][:16]]
        for point in page["checkpoints"]
    ]
    show_table(columns, shown)


def show_hits(answer: View) -> None:
    """What a search found, with the text of each chunk."""
    for hit in answer["hits"]:
        print(f"{hit['score']:.3f}  {hit['key']}  chunk {hit['ordinal']}  {hit['title']}")
        print("\n".join(f"    {line}" for line in hit["text"].strip().splitlines()), end="\n\n")
    if not answer["hits"]:
        say("Nothing was found.")


def show_verified(found: View) -> None:
    """The verdict on a collection, and every problem."""
    verdict = "valid" if found["valid"] else "NOT valid"
    counted = f"{found['documents']} documents, {found['vectors']} vectors, {found['files_checked']} files"
    print(f"{found['collection']} at generation {found['generation']} is {verdict}: {counted} checked")
    for problem in found["problems"]:
        print(f"{problem['kind']}: {problem['where']}: {problem['message']}")


def _counts(job: View) -> str:
    told = [f"{job['progress'][n]} {n.replace('_', ' ')}" for n in _COUNTS if job["progress"][n]]
    return ", ".join(told) or "no documents"


def _job_row(job: View) -> list[Any]:
    progress, checkpoint = job["progress"], job["last_checkpoint"] or {}
    total = "?" if progress["total"] is None else progress["total"]
    rate = f"{progress['rate_per_second']:.1f}/s" if progress["rate_per_second"] else ""
    settled = f"{progress['settled']}/{total}"
    source = job["source"]["root"]
    return [job["id"], job["collection"], source, job["state"], settled, rate, checkpoint.get("generation")]


def _show_left_over(job: View, failures_shown: int) -> None:
    """What kept the job from doing everything, beside the failures that were shown, and what to do about it."""
    counts, withheld, unreadable = job["progress"], job["deletes_withheld"], job["folders_unreadable"]
    if counts["failed"] > failures_shown or counts["known_failed"]:
        say(f"All that failed: `tidestone documents --state failed -c {job['collection']}`.")
    if counts["known_failed"]:
        say("What is known to fail is tried again when it changes, or by a retry of the job it failed in.")
    if withheld:
        say(
            f"{withheld['count']} documents are gone from the source, or from what its files say, and were kept: too "
            "many to remove unasked. The same command removes them with "
            f"`--deletes confirmed --deletes-digest {withheld['digest']}`."
        )
    if unreadable:
        say(f"{unreadable['count']} folders could not be read; what was in them is kept:")
        for folder, error in unreadable["folders"].items():
            say(f"unreadable: {folder}: {error}")


def _show_way_on(job: View) -> None:
    where = (job["last_checkpoint"] or {}).get("generation")
    at = f"at checkpoint {where}" if where else "before its first checkpoint"
    again = "the same command"
    if job["options"]["mode"] == "fresh":  # which begins once more every time
        again = "this command with --resume in place of --fresh"
    if job["state"] == "paused":
        say(f"Paused {at} on somebody's wish: `tidestone resume {job['id']}`, or this command with --resume.")
    elif job["state"] == "interrupted":
        say(f"Stopped {at}: {again} goes on from there.")
    elif job["state"] == "queued":
        say(f"Stopped {at}: {again} or a running service goes on from there.")
    elif job["state"] in ("running", "pausing", "cancelling"):
        say(f"The job goes on without this command: `tidestone status {job['id']}`.")
