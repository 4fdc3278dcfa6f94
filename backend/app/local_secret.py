"""The secret of development mode, made at random and kept in the data folder."""

import os
import secrets
from pathlib import Path

from app.errors import ConfigurationError

_SECRET_BYTES = 32


def local_secret(path: Path) -> str:
    """Return the development secret, made on first use; only its owner may read it.

    Raises ConfigurationError when it can't be kept there or is damaged.
    """
    try:
        _make_secret(path)
        secret = path.read_text()
    except OSError as error:
        raise ConfigurationError(
            f"DATA_DIR: can't keep the development secret in {path.parent} ({error.strerror}); "
            "choose another folder or set BETTER_AUTH_SECRET"
        ) from None
    if len(secret) < _SECRET_BYTES:
        raise ConfigurationError(f"DATA_DIR: {path} is damaged; delete it, and a new secret is made")
    return secret


def is_local_secret(secret: str, path: Path) -> bool:
    """Whether it is the one that was made here because none was set."""
    try:
        return path.read_text() == secret
    except (OSError, ValueError):
        return False


def _make_secret(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n")
    draft = path.with_name(f".secret-{os.getpid()}")
    draft.touch(0o600)
    draft.write_text(secrets.token_urlsafe(_SECRET_BYTES))
    try:
        os.link(draft, path)  # whoever links first wins; nobody ever reads half a secret
    except FileExistsError:
        pass
    finally:
        draft.unlink()
