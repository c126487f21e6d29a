"""Which blows are dealt is decided by the seed alone."""

from collections import Counter

from service.selftest.blows import Blow, Chooser, Strike, parse

PASSINGS = {"first": Counter({"ledger.before": 4, "file.absent": 1}), "later": Counter({"ledger.after": 9})}


def test_a_blow_is_its_own_text() -> None:
    blow = Blow("later", (Strike("ledger.before", 3, "kill"), Strike("folder.synced", 1, "stop")))
    assert str(blow) == "later:ledger.before=kill@3,folder.synced=stop@1"
    assert parse(str(blow)) == blow


def test_the_same_seed_draws_the_same_blows() -> None:
    one, same, other = (Chooser(seed, PASSINGS) for seed in (1, 1, 2))
    drawn = [one.draw() for _ in range(50)]
    assert drawn == [same.draw() for _ in range(50)]
    assert drawn != [other.draw() for _ in range(50)]


def test_every_phase_has_its_turn_and_every_point_comes_first() -> None:
    chooser = Chooser(3, PASSINGS)
    drawn = [chooser.draw() for _ in range(400)]
    assert [blow.phase for blow in drawn[:4]] == ["first", "later", "first", "later"]
    assert {blow.strikes[0].point for blow in drawn[:4]} == {"ledger.before", "file.absent", "ledger.after"}
    assert {blow.strikes[0].passing for blow in drawn if blow.phase == "later"} == set(range(1, 10))
    shapes = {tuple(strike.action for strike in blow.strikes) for blow in drawn}
    assert shapes == {("kill",), ("stop",), ("kill", "kill"), ("kill", "stop"), ("stop", "kill")}
