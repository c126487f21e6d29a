"""One writer per collection: who may take the lease, and who has lost it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.job import Verb
from service.engine import lease as engine_lease
from service.engine.lease import Lease, Observer, Wanted, boot_id
from service.errors import LeaseLost
from service.ledger import leases
from service.ledger.database import AnyRow, sqlite_url
from tests.engine.holding import wait_until
from tests.engine.world import World

DEAD_SECONDS = 0.3

HOLDER = """
import sys, time
from pathlib import Path
from service.engine.lease import Lease, Observer, Wanted
from service.ledger import jobs
from service.ledger.database import Ledger
url, job_id, folder, name = sys.argv[1:]
ledger = Ledger.open(url)
with ledger.read() as c:
    job = jobs.get(c, job_id)
print("ready", flush=True)
sys.stdin.readline()
lease = Lease.take(ledger, Observer(), Wanted(job.collection_id, job.id), Path(folder), name)
print("lost" if lease is None else f"took {lease.token}", flush=True)
time.sleep(0 if lease is None else 60)
"""


pytestmark = pytest.mark.usefixtures("quick")


class Contest:
    """A collection with a job, and people who want its lease."""

    def __init__(self, world: World) -> None:
        self.world, self.ledger = world, world.ledger
        job = world.jobs.create(world.order())
        with world.job_row(job["id"]) as row:
            self.job = row
        world.files.mkdir(parents=True)
        self.held = list[Lease]()

    def take(self, name: str, observer: Observer | None = None) -> Lease | None:
        taken = Lease.take(
            self.ledger,
            observer or Observer(DEAD_SECONDS),
            Wanted(self.job.collection_id, self.job.id),
            self.world.files,
            name,
        )
        if taken is not None:
            self.held.append(taken)
        return taken

    @property
    def row(self) -> AnyRow:
        with self.ledger.read() as c:
            return leases.read(c, self.job.collection_id)

    def in_another_process(self, name: str) -> "subprocess.Popen[str]":
        url = sqlite_url(self.world.settings.data_dir)
        command = [sys.executable, "-c", HOLDER, url, self.job.id, str(self.world.files), name]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert answer(child) == "ready"
        return child

    def elsewhere(self, host: str) -> int:
        """Somebody whom this process cannot see takes the lease, and says on which machine it has the lock."""
        with self.ledger.write() as c:
            seen = leases.read(c, self.job.collection_id)
            token = leases.take(c, seen, "elsewhere", self.job.id, host)
        assert token is not None
        return token


def answer(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def go(child: "subprocess.Popen[str]") -> None:
    assert child.stdin is not None
    print(file=child.stdin, flush=True)


def end(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.communicate()


def hold(held: Lease) -> None:
    with held.write():
        pass


@pytest.fixture
def contest(world: World) -> Iterator[Contest]:
    made = Contest(world)
    yield made
    for held in made.held:
        held.release()


def test_a_free_lease_is_taken_with_a_higher_token_every_time(contest: Contest) -> None:
    tokens = []
    for name in ("one", "two"):
        taken = contest.take(name)
        assert taken is not None
        tokens.append(taken.token)
        assert (contest.row.holder, contest.row.lock_host) == (name, boot_id())
        taken.release()
        assert contest.row.holder == ""
    assert tokens[0] < tokens[1]


def test_nobody_takes_the_lease_of_a_living_holder(contest: Contest) -> None:
    held, observer = contest.take("one"), Observer(DEAD_SECONDS)
    assert held is not None
    until = time.monotonic() + 2 * DEAD_SECONDS
    while time.monotonic() < until:
        assert contest.take("two", observer) is None, "the beat of a quiet holder stood still"
        time.sleep(0.01)
    hold(held)


def test_the_free_lock_of_a_killed_holder_proves_it_dead_at_once(contest: Contest) -> None:
    child = contest.in_another_process("killed")
    go(child)
    assert answer(child).startswith("took")
    assert contest.take("too early", Observer(60.0)) is None
    end(child)
    assert contest.take("next", Observer(60.0)) is not None


def test_a_held_lock_proves_nothing_and_a_beat_that_stands_still_does(contest: Contest) -> None:
    """The frozen holder of the lock, here somebody who never beats, is taken over after a while."""
    lock = engine_lease._lock(contest.world.files)
    assert lock is not None
    contest.elsewhere(boot_id())
    observer, began = Observer(DEAD_SECONDS), time.monotonic()
    assert contest.take("next", observer) is None
    wait_until(lambda: contest.take("next", observer) is not None)
    assert time.monotonic() - began >= DEAD_SECONDS
    assert contest.row.lock_host == "", "who has no lock must not say so"
    engine_lease._unlock(lock)


def test_a_lease_without_a_lock_is_not_taken_because_the_lock_is_free(contest: Contest) -> None:
    contest.elsewhere("")
    assert contest.take("next", Observer(60.0)) is None


def test_a_lock_on_another_machine_is_never_trusted(contest: Contest) -> None:
    """Its locks do not show here: a free one says nothing."""
    contest.elsewhere("another boot of another machine")
    assert contest.take("next", Observer(60.0)) is None


def test_every_beat_starts_the_observer_s_clock_again(contest: Contest) -> None:
    token, observer = contest.elsewhere("another machine"), Observer(DEAD_SECONDS)
    until = time.monotonic() + 2 * DEAD_SECONDS
    while time.monotonic() < until:
        assert contest.take("next", observer) is None
        with contest.ledger.write() as c:
            leases.hold(c, contest.job.collection_id, token)
        time.sleep(0.02)
    wait_until(lambda: contest.take("next", observer) is not None)


def test_after_a_takeover_the_former_holder_can_do_nothing(contest: Contest) -> None:
    held = contest.take("one")
    assert held is not None
    contest.elsewhere("")
    with pytest.raises(LeaseLost), held.write():
        pytest.fail("a transaction of a fenced holder began")
    assert held.lost
    held.release()
    assert contest.row.holder == "elsewhere", "a fenced holder freed the lease of its successor"


def test_a_holder_comes_to_know_by_its_beat_that_it_has_lost(contest: Contest) -> None:
    held = contest.take("one")
    assert held is not None
    contest.elsewhere("")
    wait_until(lambda: held.lost)


def test_a_lease_that_was_let_go_cannot_be_held(contest: Contest) -> None:
    held = contest.take("one")
    assert held is not None
    held.release()
    with pytest.raises(LeaseLost):
        hold(held)


def test_of_several_processes_exactly_one_wins(contest: Contest) -> None:
    children = [contest.in_another_process(f"worker-{n}") for n in range(4)]
    for child in children:
        go(child)
    answers = [answer(child) for child in children]
    for child in children:
        end(child)
    assert sorted(answers) == ["lost", "lost", "lost", "took 1"]


def test_an_observer_without_write_access_goes_by_the_beat(contest: Contest, tmp_path: Path) -> None:
    contest.elsewhere(boot_id())
    unusable = tmp_path / "unusable"
    (unusable / "writer.lock").mkdir(parents=True)
    with contest.ledger.read() as c:
        assert not Observer(60.0).is_dead(c, contest.job.collection_id, unusable)


def test_a_wish_reaches_the_holder(contest: Contest) -> None:
    held = contest.take("one")
    assert held is not None
    held.watch(contest.job.id)
    assert held.wish == "running"
    contest.world.jobs.ask(contest.job.id, Verb.PAUSE)
    wait_until(lambda: held.wish == "paused")
