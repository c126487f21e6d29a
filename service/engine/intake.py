"""From what is said of files to drafts, rows and settled documents."""

import time
from collections.abc import Callable

from service.core import pace
from service.core.stamp import settled_stamp
from service.engine.draft import Batch, Draft, Outcome, described
from service.engine.gathered import Gathered
from service.engine.known_file import KnownFile
from service.engine.open_item import LastWord, OpenItem, Rules
from service.engine.reuse import Reuse
from service.engine.rows import rows_of
from service.errors import DocumentFailed, SkipDocument, TryAgain, Unavailable
from service.ledger.database import AnyRow
from service.ports import FileRead, Left, Piece


class Intake:
    """Takes in what is said, and gathers what the next commits may carry."""

    def __init__(
        self,
        rules: Rules,
        reuse: Reuse,
        recall: Callable[[Draft, AnyRow | None], list[int]],
    ) -> None:
        """`recall(draft, known)` takes up an unfinished version, teaches `reuse`, and returns useless versions."""
        self._rules, self._reuse, self._recall = rules, reuse, recall
        self.items: dict[int, OpenItem] = {}
        self.gathered = Gathered()
        self.postponed: list[tuple[AnyRow, TryAgain]] = []
        self.doubted: list[tuple[AnyRow, int]] = []  # items for the guard, and how many documents would go

    @property
    def quiet(self) -> bool:
        """Whether nothing more comes of the items in hand: all are read, and every chunk has its vector."""
        return not self.gathered.waiting and all(open_item.is_heard for open_item in self.items.values())

    @property
    def has_suspects(self) -> bool:
        """Whether an item in hand was in flight when a worker died."""
        return any(open_item.item.attempts for open_item in self.items.values())

    def open(self, item: AnyRow, known: KnownFile, stream: int) -> None:
        """An item has been handed to the feeder, which gave it the number `stream`; 0: it has not."""
        self.items[item.id] = OpenItem(item, known, stream)

    def leave_out(self, item: AnyRow, reason: str) -> None:
        """Nothing is done with an item, and its documents stay as they are."""
        self.gathered.batch.outcomes.append(Outcome(item.id, "skipped", reason))
        self.gathered.batch.count("skipped")

    def go_on(self) -> None:
        """Retire more of the records that heard files have no more, now that there may be room again."""
        for open_item in tuple(self.items.values()):
            if open_item.leaving is not None and not self.gathered.is_full:
                self._advance(open_item)

    def take(self, item_id: int, stream: int, what: Piece | Left | FileRead | Exception) -> None:
        """One thing said of an item; of an item, or an attempt, that was given up meanwhile nothing counts any more."""
        open_item = self.items.get(item_id)
        if open_item is None or open_item.stream != stream:
            return
        match what:
            case Piece():
                self._piece(open_item, what)
            case Left():
                self._left(open_item, what)
            case FileRead():
                self._file_read(open_item, what)
            case SkipDocument():
                self._end(open_item, "skipped", what)
            case DocumentFailed():
                self._end(open_item, "failed", what)
            case TryAgain() if not isinstance(what, Unavailable):
                self._again(open_item, what)
            case _:
                raise what

    def collect(self) -> None:
        """Move rows that have their vectors on, in order; a row that failed fails its document."""
        for draft, error in self.gathered.collect():
            if error is None:
                self._settle_if_complete(draft)
            else:
                self._draft_failed(draft, error)

    def take_batch(self, most: int, worth_keeping: int | None = None) -> Batch:
        """What can be committed now; see `Gathered.take`."""
        batch = self.gathered.take(most, worth_keeping)
        for draft in batch.finished:
            self._close_draft(draft, batch)
        drafts = [draft for open_item in self.items.values() for draft in open_item.drafts]
        batch.in_hand = [draft.version_id for draft in drafts if draft.version_id is not None]
        if batch:
            for open_item in self.items.values():
                self._note_half_in(open_item, batch)
        return batch

    def _note_half_in(self, open_item: OpenItem, batch: Batch) -> None:
        """A file of which some records are in is known, and is no more what it was when it was read last."""
        if open_item.is_begun and open_item.half_in is None:
            known = open_item.known.whole
            values = {"stamp": "", "file_sha256": ""}
            if known is None or known.state == "deleted":
                values |= {"state": "container", "recipe": self._rules.recipe}
            open_item.change(batch, "", values)
            open_item.half_in = batch.documents[-1]

    def _close_draft(self, draft: Draft, batch: Batch) -> None:
        if draft.old_version_id is not None:
            batch.retired.append(draft.old_version_id)
        open_item = self.items.get(draft.item_id)
        if open_item is not None:
            open_item.drafts.discard(draft)
            if open_item.doubtful_loss:
                self._doubt(open_item, batch)
            elif open_item.read is not None and open_item.has_left and not open_item.drafts:
                self._finish(open_item, batch)

    def _piece(self, open_item: OpenItem, piece: Piece) -> None:
        if piece.first_ordinal == 0:
            self._begin(open_item, piece)
        draft = open_item.current
        if draft is None or draft.failed:
            return
        try:
            self.gathered.waiting.extend(rows_of(draft, piece, self._reuse.vector))
        except TryAgain as error:  # the stored chunks are dropped, and the document starts again
            self._again(open_item, error)
        else:
            self._settle_if_complete(draft)

    def _begin(self, open_item: OpenItem, piece: Piece) -> None:
        record = open_item.name_record(piece.record)
        known = open_item.known.get(record)
        open_item.current = None
        if known is not None and (known.state == "withdrawn" or self._is_same(known, piece)):
            open_item.is_same = record == ""
            return
        draft = Draft.of(open_item.item.id, open_item.place(record), piece)
        if known is not None:
            draft.doc_id, draft.old_version_id = known.doc_id, known.version_id
        self.gathered.batch.abandoned += self._recall(draft, known)
        open_item.current = draft
        open_item.drafts.add(draft)

    def _is_same(self, known: AnyRow, piece: Piece) -> bool:
        same_text = known.content_sha256 == piece.content_sha256 and known.recipe == self._rules.recipe
        same_words = known.described_sha256 == described(piece)
        return known.state == "indexed" and same_text and same_words and not self._rules.fresh

    def _left(self, open_item: OpenItem, left: Left) -> None:
        record = open_item.name_record(left.record)
        known = open_item.known.get(record)
        if known is not None and known.state == "withdrawn":
            return
        if left.outcome == "skipped" and not open_item.may_lose(known):
            return
        open_item.bad_records += left.outcome == "failed"
        values = {"state": left.outcome, "reason": left.reason, "detail": left.detail, "content_sha256": ""}
        values["recipe"] = self._rules.recipe
        open_item.change(self.gathered.batch, record, values, keeps=left.outcome == "failed")

    def _file_read(self, open_item: OpenItem, read: FileRead) -> None:
        open_item.read = read
        if read.unchanged:
            open_item.change(self.gathered.batch, "", {"stamp": read.stamp, "file_sha256": read.sha256})
            self._unchanged(open_item)
            return
        whole = open_item.whole_draft
        if whole is not None:
            whole.stamp, whole.file_sha256, whole.file_bytes = read.stamp, read.sha256, read.size_bytes
        self._advance(open_item)

    def _advance(self, open_item: OpenItem) -> None:
        """What comes next of a heard file, step by step: its text embedded, lost records retired, its text visible.

        Nothing is retired for a text that may still fail, and no text says that the file has been read while records
        are left that a crash would keep for ever.
        """
        if not open_item.is_heard:
            return
        open_item.weigh()
        if open_item.doubtful_loss:
            self._doubt(open_item, self.gathered.batch)
            return
        whole = open_item.whole_draft
        if whole is not None and not whole.complete:
            return
        if not open_item.has_left:
            open_item.retire_unseen(self.gathered.batch, pace.MOST_CHANGES)
        if not open_item.has_left:
            return
        if open_item.last_word is not None:
            self._say_last(open_item, open_item.last_word)
        elif whole is not None and whole not in self.gathered.ready:
            self.gathered.ready.append(whole)
        elif not open_item.drafts:
            self._finish(open_item, self.gathered.batch)

    def _doubt(self, open_item: OpenItem, batch: Batch) -> None:
        """What is new in a file comes in; what it has lost waits for the guard, and so does a text instead of records."""
        whole = open_item.whole_draft
        if whole is not None and whole not in self.gathered.ready:
            self.gathered.drop(whole)
        if not any(not draft.failed for draft in open_item.drafts):
            self._note_half_in(open_item, batch)
            self.doubted.append((open_item.item, open_item.doubtful_loss))
            del self.items[open_item.item.id]

    def _unchanged(self, open_item: OpenItem) -> None:
        """Touched, but the same bytes as before: what came of them then holds."""
        whole = open_item.known.whole
        failed = whole is not None and whole.state == "failed"
        self.gathered.batch.outcomes.append(Outcome(open_item.item.id, "done", "unchanged"))
        self.gathered.batch.count("known_failed" if failed else "unchanged")
        del self.items[open_item.item.id]

    def _settle_if_complete(self, draft: Draft) -> None:
        if not draft.complete or draft in self.gathered.ready:
            return
        open_item = self.items.get(draft.item_id)
        if draft.place.record:
            self.gathered.ready.append(draft)
        elif open_item is not None:
            self._advance(open_item)

    def _finish(self, open_item: OpenItem, batch: Batch) -> None:
        read = open_item.read
        if read is not None and read.container and not read.unchanged:
            # Not before the last of its records: what says that the file has been read must not come true sooner.
            values = {"state": "container", "reason": None, "recipe": self._rules.recipe}
            facts = {"stamp": read.stamp, "file_sha256": read.sha256}
            open_item.change(batch, "", {**values, **facts})
        elif read is not None and open_item.is_same:
            open_item.change(batch, "", {"stamp": read.stamp, "file_sha256": read.sha256})
        if open_item.bad_records:
            detail = f"{open_item.bad_records} of {open_item.records} records"
            batch.outcomes.append(Outcome(open_item.item.id, "failed", "records_failed", detail))
        else:
            batch.outcomes.append(Outcome(open_item.item.id, "done"))
        batch.count("bytes", read.size_bytes if read else 0)
        batch.count("failed" if open_item.bad_records else "done")
        del self.items[open_item.item.id]

    def _end(self, open_item: OpenItem, state: str, why: SkipDocument | DocumentFailed) -> None:
        """The file as a whole is skipped by rule, or has failed."""
        reason, detail = why.reason, why.detail[:500]
        stamp = settled_stamp(open_item.item.stamp, time.time())
        values = {"state": state, "reason": reason, "detail": detail, "stamp": stamp}
        values |= {"file_sha256": why.sha256, "content_sha256": "", "recipe": self._rules.recipe}
        last_word = LastWord(values, Outcome(open_item.item.id, state, reason, detail))
        self._drop_drafts(open_item)
        if state == "skipped" and reason != "vanished":
            open_item.last_word = last_word
            self._advance(open_item)
        else:
            self._say_last(open_item, last_word)

    def _say_last(self, open_item: OpenItem, last_word: LastWord) -> None:
        outcome = last_word.outcome
        if outcome.reason != "vanished":
            # What was readable before stays searchable when the file has failed: a doubt deletes nothing.
            open_item.change(self.gathered.batch, "", last_word.values, keeps=outcome.state == "failed")
        self.gathered.batch.outcomes.append(outcome)
        self.gathered.batch.count(outcome.state)
        del self.items[open_item.item.id]

    def _again(self, open_item: OpenItem, error: TryAgain) -> None:
        if open_item.item.tries >= self._rules.max_tries:
            state = "skipped" if error.reason == "vanished" else "failed"
            self._end(open_item, state, DocumentFailed(error.reason, error.detail))
        else:
            self._drop_drafts(open_item)
            if any(draft in self.gathered.ready for draft in open_item.drafts):
                self._note_half_in(open_item, self.gathered.batch)
            del self.items[open_item.item.id]
            self.postponed.append((open_item.item, error))

    def _draft_failed(self, draft: Draft, error: DocumentFailed) -> None:
        open_item = self.items.get(draft.item_id)
        if open_item is None:
            return
        if draft.place.record == "":
            self._end(open_item, "failed", error)
            return
        open_item.bad_records += 1
        values = {"state": "failed", "reason": error.reason, "detail": error.detail, "content_sha256": ""}
        open_item.change(
            self.gathered.batch, draft.place.record, {**values, "recipe": self._rules.recipe}, keeps=True
        )
        self.gathered.drop(draft)
        open_item.drafts.discard(draft)
        self._advance(open_item)

    def _drop_drafts(self, open_item: OpenItem) -> None:
        """Forget what is in hand of an item; records of it that are complete still count."""
        for draft in open_item.drafts:
            if draft not in self.gathered.ready and not draft.failed:
                self.gathered.drop(draft)
