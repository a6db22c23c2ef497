"""Which code and which packages made a number."""

import hashlib
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from pmi_kernel.core.places import PACKAGE
from pmi_kernel.core.version import __version__

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "numpy",
    "bm25s",
    "llguidance",
    "pydantic",
)


def package_versions() -> dict[str, str]:
    """Return the versions of Python, the workbench and the packages that shape its numbers."""
    versions = {"python": sys.version.split()[0], "pmi-workbench": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


def git_state() -> dict[str, object]:
    """Return which code this is: its commit, whether it was changed since, and its own hash.

    The commit is None where the package is not from a git work tree of its own, as in a wheel.
    """
    root = PACKAGE.parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words], cwd=root, capture_output=True, encoding="utf-8", check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    # Whoever tracks this very file, from its own root, is the workbench's repository.
    own = f"{PACKAGE.name}/__init__.py"
    is_own = git("ls-files", "--full-name", own) == own
    status = git("status", "--porcelain") if is_own else None
    return {
        "commit": git("rev-parse", "HEAD") if is_own else None,
        "is_dirty": None if status is None else bool(status),
        "code_sha256": _code_hash(),
    }


def _code_hash() -> str:
    """The sha256 over the package's modules: the same in a source tree and in a wheel of it."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()
