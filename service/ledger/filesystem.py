"""Which file system a folder is on, and whether SQLite's log is safe there."""

import os
from pathlib import Path

from service.errors import Refused

# Where several machines see one file but not one memory, processes do not share the log's index: commits get lost.
UNSAFE = frozenset(
    {
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ncpfs",
            "afs",
            "9p",
            "ceph",
            "lustre",
            "gfs2",
            "ocfs2",
            "glusterfs",
        ),
        *(
            "fuse.sshfs",
            "fuse.glusterfs",
            "fuse.ceph",
            "fuse.s3fs",
            "fuse.rclone",
            "fuse.gcsfuse",
            "fuse.davfs2",
        ),
        *(
            "smb2",
            "virtiofs",
            "vboxsf",
            "prl_fs",
            "fuse.grpcfuse",
            "fuse.vmhgfs-fuse",
        ),  # a virtual machine's host
        *("fuse.juicefs", "fuse.mount_s3", "fuse.goofys", "fuse.curlftpfs", "fuse.lizardfs", "fuse.moosefs"),
    }
)


def require_safe(folder: Path) -> None:
    """Raises Refused, with the ways out, where SQLite's write-ahead log would lose commits."""
    kind = type_of(folder, Path("/proc/self/mountinfo").read_text())
    if kind in UNSAFE:
        raise Refused(
            f"{folder} is on {kind}, where SQLite's log is not safe: two processes there do not see each other's commits. "
            "Put data_dir on a local disk, or keep the ledger in PostgreSQL (ledger.url)."
        )


def type_of(folder: Path, mountinfo: str) -> str:
    """The type of the file system that an existing folder is on; "" where the kernel does not tell."""
    stat = os.stat(folder)
    device = f"{os.major(stat.st_dev)}:{os.minor(stat.st_dev)}"
    found = ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) > 2 and kinds and fields[2] == device:
            found = kinds[0]
    return found
