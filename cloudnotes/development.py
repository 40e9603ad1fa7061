"""What a laptop gets for nothing: a secret key of its own."""

import os
import secrets
from pathlib import Path


def secret_key(data_dir: Path) -> str:
    """Return the key kept in ``data_dir/secret_key``, making it (mode 0600) on the first call.

    All processes over one folder share it, and tokens survive a restart. The file appears whole
    or not at all (`link` is atomic and refuses to replace), so two first starts agree on one key.
    """
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = data_dir / f".secret_key.{secrets.token_hex(8)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
