"""The default AppArmor profile, loaded when the daemon starts on a host that has AppArmor and not the profile.

The kernel takes compiled profiles only, and the one compiler is the host's: apparmor_parser, which Docker runs too.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess

from berth.base import spawn
from berth.kernel import lsm
from berth.spec.apparmor import DEFAULT_PROFILE, profile_text

log = logging.getLogger("berth.daemon")

_PLACES = "/usr/sbin:/sbin:/usr/bin:/bin"
_POLICY = "/etc/apparmor.d"
_PATIENCE_S = 30.0


def ensure_default() -> bool:
    """Whether the default profile is loaded now; the log says why it is not. False without AppArmor."""
    if not lsm.has_apparmor():
        return False
    if lsm.has_profile(DEFAULT_PROFILE):
        return True
    trouble = _load()
    if not trouble and lsm.has_profile(DEFAULT_PROFILE):
        return True
    log.warning(
        "AppArmor has no profile %s loaded: containers that name none run unconfined by it (%s)",
        DEFAULT_PROFILE, trouble or "it is not seen after it was loaded",
    )  # fmt: skip
    return False


def _load() -> str:
    """What went wrong; "" for nothing."""
    parser = shutil.which("apparmor_parser", path=_PLACES)
    if parser is None:
        return "there is no apparmor_parser to load it with"
    text = profile_text(
        DEFAULT_PROFILE, engine=lsm.own_profile(),
        tunables=os.path.exists(f"{_POLICY}/tunables/global"), base=os.path.exists(f"{_POLICY}/abstractions/base"),
    )  # fmt: skip
    try:
        done = spawn.run([parser, "--replace", "--skip-cache"], stdin=text.encode(), timeout_s=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as err:
        return f"{parser}: {err}"
    if done.returncode:
        return f"{parser}: {done.stderr.decode(errors='replace').strip()[:500] or done.returncode}"
    return ""
