"""The one table of maintenance: what each kind of task does."""

from collections.abc import Mapping

from service.core.upkeep import Kind
from service.maintenance import (
    collect,
    compact,
    drop,
    purge,
    repair,
    restore_document,
    rollback,
    tidy,
    withdraw,
)
from service.maintenance.work import Duty

DUTIES: Mapping[Kind, Duty] = {
    Kind.COLLECT: Duty(collect.run),
    Kind.COMPACT: Duty(compact.run),
    Kind.DROP: Duty(drop.run, as_it_is=True),
    Kind.PURGE: Duty(purge.run),
    Kind.REPAIR: Duty(repair.run, as_it_is=True),
    Kind.RESTORE_DOCUMENT: Duty(restore_document.run),
    Kind.ROLLBACK: Duty(rollback.run),
    Kind.TIDY: Duty(tidy.run),
    Kind.WITHDRAW: Duty(withdraw.run),
}
