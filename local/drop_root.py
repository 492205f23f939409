"""Become an unprivileged user, then run a program: `drop_root.py FOLDER PROGRAM ARGUMENTS…`.

Postgres refuses to run as root. Run as a script of its own, with nothing imported from us, because doing this
in a `preexec_fn` of a process that has threads can hang. FOLDER, the program's data, is given to the user
that it becomes.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

NOBODY = 65534
WITHOUT_NAMESPACE = "FEEDBACK_LOCAL_WITHOUT_USER_NAMESPACE"
_CLONE_NEWUSER = 0x10000000


def enter_namespace() -> bool:
    """Take another number in a user namespace, outside of which our files stay root's; False if refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.environ.get(WITHOUT_NAMESPACE) or not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWUSER) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")
    return True


def become_nobody() -> None:
    """Give up root for good, for the user that owns nothing."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def give(folder: Path, owner: int) -> None:
    """Make `owner` the owner of the folder and all in it, unless it is already."""
    if folder.stat().st_uid == owner:
        return
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, owner, owner, follow_symlinks=False)


def drop(folder: Path, program: Path) -> None:
    """Stop being root in the way that this machine allows; ends with a message if files are out of reach."""
    if folder.stat().st_uid != 0 and not os.environ.get(WITHOUT_NAMESPACE):
        give(folder, 0)
    if enter_namespace():
        return
    give(folder, NOBODY)
    become_nobody()
    for path, need in ((folder, os.W_OK | os.X_OK), (program, os.X_OK)):
        if not os.access(path, need):
            sys.exit(
                f"the user `nobody`, whom Postgres must run as here, cannot reach {path}: run as another "
                "user than root, or move the folder to where every user may go"
            )


def main() -> None:
    """Read the arguments, drop root where we have it, and turn into the program."""
    folder, program = Path(sys.argv[1]), Path(sys.argv[2])
    if os.geteuid() == 0:
        drop(folder, program)
    os.execv(program, sys.argv[2:])  # noqa: S606 - our own arguments, no shell


if __name__ == "__main__":
    main()
