"""Network file systems, on which SQLite's log loses commits, are recognised by what the kernel says of the mount."""

import os
from pathlib import Path

import pytest

from service.errors import Refused
from service.ledger import filesystem
from service.ledger.filesystem import UNSAFE, require_safe, type_of


def mounted(folder: Path, kind: str) -> str:
    """What /proc/self/mountinfo would say if the folder's device were of this kind; optional fields included."""
    device = os.stat(folder).st_dev
    own = f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw,noatime shared:1 master:2 - {kind} server:/x rw"
    return f"35 1 0:99999 / / rw - ext4 /dev/vda rw\n{own}\n"


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_an_unsafe_file_system_is_refused_with_the_ways_out(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind in UNSAFE
    assert type_of(tmp_path, mounted(tmp_path, kind)) == kind
    monkeypatch.setattr(filesystem, "type_of", lambda folder, _: type_of_was(folder, mounted(folder, kind)))
    with pytest.raises(Refused, match=f"is on {kind}.*local disk.*PostgreSQL"):
        require_safe(tmp_path)


type_of_was = filesystem.type_of


def test_local_ones_are_fine(tmp_path: Path) -> None:
    require_safe(tmp_path)
    for kind in ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs"):
        assert type_of(tmp_path, mounted(tmp_path, kind)) == kind
        assert kind not in UNSAFE


def test_a_device_that_is_not_listed_is_no_reason_to_refuse(tmp_path: Path) -> None:
    assert type_of(tmp_path, "") == ""
