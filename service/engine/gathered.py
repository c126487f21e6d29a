"""What the next commit may carry, and what is on its way there."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.core import pace
from service.engine.draft import Batch, Draft, Row
from service.errors import DocumentFailed


@dataclass
class Gathered:
    """Rows until they have their vectors, drafts until they are complete, and what is settled without vectors."""

    waiting: deque[Row] = field(default_factory=deque)  # submitted, in order
    embedded: list[Row] = field(default_factory=list)  # with their vectors
    ready: list[Draft] = field(default_factory=list)  # may become visible with the next commit
    batch: Batch = field(default_factory=Batch)  # settled without vectors

    @property
    def is_full(self) -> bool:
        """Whether as much has changed without vectors as one commit may carry."""
        return len(self.batch.documents) >= pace.MOST_CHANGES

    @property
    def settled(self) -> int:
        """Documents or items that the next commit would settle, whichever is more."""
        return max(len(self.ready), len(self.batch.outcomes))

    def collect(self) -> Iterator[tuple[Draft, DocumentFailed | None]]:
        """Move rows that have their vectors on, in order: the draft of each, and why its row failed, if it has."""
        while self.waiting and self.waiting[0].future.done() and not self.waiting[0].future.cancelled():
            row = self.waiting.popleft()
            if row.draft.failed:
                continue
            error = row.future.exception()
            if error is None:
                row.draft.embedded += 1
                row.draft.committed_prefix = row.prefix_sha256
                self.embedded.append(row)
            elif not isinstance(error, DocumentFailed):
                raise error
            yield row.draft, error

    def take(self, most: int, worth_keeping: int | None) -> Batch:
        """What can be committed now, `most` documents at most.

        And of documents that are not complete, the rows of those that have `worth_keeping` or more; None: of none.
        """
        batch, self.batch = self.batch, Batch()
        # A file's outcome never comes true before what came of the file.
        ended = {outcome.item_id for outcome in batch.outcomes}
        self.ready.sort(key=lambda draft: draft.item_id not in ended)
        room = max(most - len(ended), sum(draft.item_id in ended for draft in self.ready))
        batch.finished, self.ready = self.ready[:room], self.ready[room:]
        if worth_keeping is not None:
            batch.unfinished = self._unfinished(worth_keeping)
        chosen = {*batch.finished, *batch.unfinished}
        batch.rows = [row for row in self.embedded if row.draft in chosen]
        self.embedded = [row for row in self.embedded if row.draft not in chosen]
        batch.count("chunks", len(batch.rows))
        batch.count("chunks_reused", sum(row.reused for row in batch.rows))
        batch.count("tokens", sum(row.tokens for row in batch.rows if not row.reused))
        return batch

    def drop(self, draft: Draft) -> None:
        """Nothing more comes of a draft, and what a commit has of it is to go."""
        draft.failed = True
        self.embedded = [row for row in self.embedded if row.draft is not draft]
        if draft.first_batch is not None and draft.version_id is not None:
            self.batch.abandoned.append(draft.version_id)

    def _unfinished(self, least: int) -> list[Draft]:
        counts = Counter(row.draft for row in self.embedded if not row.draft.complete)
        return [draft for draft, count in counts.items() if count >= least]
