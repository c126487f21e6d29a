"""See a reindex job through: prepare the new space beside the old one, then switch."""

from service.core.job import Fact, State
from service.engine.ingest import GaveUp, Interrupted
from service.engine.owner import Owner
from service.engine.tenure import Tenure
from service.errors import SpaceMismatch, TryAgain
from service.ledger import jobs, preparations, spaces
from service.maintenance.preparing import Preparing
from service.maintenance.reindex_order import SOURCE
from service.maintenance.switch import Switch


class ReindexTenure(Tenure):
    """One reindex job under one lease."""

    def _check_model(self) -> None:
        """The model must be the one that was ordered, or what is prepared would be of two spaces."""
        found = self._tools.embedder.space.fingerprint
        if not self._is_switched() and found != self._job.options["space"]:
            raise SpaceMismatch(
                f"This job was ordered for the space {self._job.options['space']}, and the configured model has {found}: "
                "configure the model that it was ordered for and resume it, or cancel it and reindex anew."
            )

    def _work(self) -> bool:
        preparing = Preparing(self._tools, self._holding, self._job, self._stop)
        try:
            while not self._is_switched():
                preparing.work()
                self._switch()
            self._publish_for_certain(preparing)
        except Interrupted:
            preparing.save_what_is_embedded()
            self._serve_errands(preparing)
            return self._settle(Fact.CHECKPOINTED)
        except (TryAgain, GaveUp):
            preparing.drop_what_is_queued()
            raise
        return self._finish()

    def _switch(self) -> None:
        weights = self._job.options["weights"]
        owner = Owner(self._job.id, self._job.service, self._job.source_id, self._owner.recipe)
        Switch(self._holding, self._job, owner, self._tools.embedder.space, weights).run()

    def _is_switched(self) -> bool:
        with self._tools.ledger.read() as c:
            return spaces.switched_by(c, self._job.id)

    def _settle(self, fact: Fact) -> bool:
        """A wish that comes after the switch comes too late."""
        published = self._state.published == self._state.generation
        if self._is_switched() and published and not self._stop.is_set():
            return self._finish()
        settled = super()._settle(fact)
        with self._lease.write() as c:
            row = jobs.get(c, self._job.id)
            if row.state == State.CANCELLED:
                preparations.tidy_later(c, row)
        return settled


TENURES = {SOURCE: ReindexTenure}
