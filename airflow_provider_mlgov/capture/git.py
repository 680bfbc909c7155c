"""Which code ran: commit and branch, read from ``.git``, and whether the working tree differs, which git is asked."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class GitFacts:
    """What is known of a working tree; None is unknown."""

    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool | None = None
    """Whether tracked files differ from the commit."""


def git_facts(folder: Path, *, timeout: float = 2.0) -> GitFacts | None:
    """The facts of the working tree that holds ``folder``, or None; ``timeout`` bounds the call of git."""
    found = _git_folder(folder)
    if found is None:
        return None
    git, common = found
    head = _read(git / "HEAD")
    if head is None:
        return None
    reference = head.removeprefix("ref: ") if head.startswith("ref: ") else None
    commit = _resolve(git, common, reference) if reference else head
    return GitFacts(
        commit=commit if commit and _COMMIT.fullmatch(commit) else None,
        branch=reference.removeprefix("refs/heads/") if reference else None,
        remote=_remote(common),
        dirty=_dirty(folder, timeout),
    )


def _git_folder(folder: Path) -> tuple[Path, Path] | None:
    """The git folder of this working tree, and the one that it shares with linked working trees."""
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if git.is_file():  # a linked working tree or a submodule
            text = _read(git)
            if text is None or not text.startswith("gitdir: "):
                return None
            git = (parent / text.removeprefix("gitdir: ")).resolve()
        if git.is_dir():
            common = _read(git / "commondir")
            return git, (git / common).resolve() if common else git
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _resolve(git: Path, common: Path, reference: str) -> str | None:
    for place in (git, common):
        loose = _read(place / reference)
        if loose:
            return loose
    for line in (_read(common / "packed-refs") or "").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return None


def _remote(common: Path) -> str | None:
    """The URL of ``origin``, without credentials."""
    section = ""
    for line in (_read(common / "config") or "").splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text
        elif section == '[remote "origin"]' and text.partition("=")[0].strip() == "url":
            url = text.partition("=")[2].strip()
            parts = urlsplit(url)
            return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else url
    return None


def _dirty(folder: Path, timeout: float) -> bool | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout.strip())
