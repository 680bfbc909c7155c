from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from airflow_provider_mlgov.capture import git
from airflow_provider_mlgov.capture.git import GitFacts, git_facts


def run(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "dags").mkdir(parents=True)
    run(folder, "init", "-q", "-b", "main")
    (folder / "dags" / "a.py").write_text("a = 1\n")
    run(folder, "add", ".")
    run(folder, "commit", "-q", "-m", "one")
    return folder


def test_a_clean_tree(tree: Path) -> None:
    run(tree, "remote", "add", "origin", "https://me:secret@git.example.com/team/dags.git")
    assert git_facts(tree / "dags") == GitFacts(
        commit=run(tree, "rev-parse", "HEAD"),
        branch="main",
        remote="https://git.example.com/team/dags.git",
        dirty=False,
    )


def test_a_changed_file_makes_it_dirty_and_an_untracked_one_does_not(tree: Path) -> None:
    (tree / "new.py").write_text("")
    assert git_facts(tree).dirty is False
    (tree / "dags" / "a.py").write_text("a = 2\n")
    assert git_facts(tree).dirty is True


def test_packed_references(tree: Path) -> None:
    run(tree, "pack-refs", "--all")
    assert not (tree / ".git" / "refs" / "heads" / "main").exists()
    assert git_facts(tree).commit == run(tree, "rev-parse", "HEAD")


def test_a_detached_head_has_no_branch(tree: Path) -> None:
    run(tree, "checkout", "-q", "--detach")
    found = git_facts(tree)
    assert (found.branch, found.commit) == (None, run(tree, "rev-parse", "HEAD"))


def test_a_linked_working_tree(tree: Path) -> None:
    linked = tree.parent / "linked"
    run(tree, "worktree", "add", "-q", "-b", "feature/x", str(linked))
    found = git_facts(linked)
    assert (found.branch, found.commit) == ("feature/x", run(tree, "rev-parse", "HEAD"))


def test_before_the_first_commit(tmp_path: Path) -> None:
    run(tmp_path, "init", "-q", "-b", "main")
    assert git_facts(tmp_path) == GitFacts(branch="main", dirty=False)


def test_a_remote_without_credentials_stays_as_it_is(tree: Path) -> None:
    run(tree, "remote", "add", "origin", "git@example.com:team/dags.git")
    assert git_facts(tree).remote == "git@example.com:team/dags.git"


def test_without_git_the_rest_is_known(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = run(tree, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", "/nowhere")
    assert git_facts(tree) == GitFacts(commit=commit, branch="main")


def test_no_working_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "_git_folder", lambda folder: None)
    assert git_facts(tmp_path) is None


@pytest.mark.parametrize("head", [None, "ref: refs/heads/../../x", "rubbish"])
def test_a_broken_git_folder(tmp_path: Path, head: str | None) -> None:
    (tmp_path / ".git").mkdir()
    if head is not None:
        (tmp_path / ".git" / "HEAD").write_text(head)
    found = git_facts(tmp_path)
    assert found is None or found.commit is None
