"""The origin of a model: commit, tree and author of the checkout, unknown outside one."""

import subprocess

import pytest

from sinet_pipelines.registry.origin import AUTHOR_TAG, COMMIT_TAG, TREE_TAG, UNKNOWN, origin_of


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "My plänt #2"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("1")
    (folder / "workspace.yaml").touch()
    git(folder, "add", ".")
    git(folder, "-c", "user.name=Ada Lovelace", "-c", "user.email=a@b.c", "commit", "-q", "-m", "first")
    return folder


def git(folder, *words):
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def test_a_clean_checkout_is_named_by_its_commit_and_author(checkout):
    origin = origin_of(checkout)
    assert (origin.commit, origin.tree, origin.author) == (git(checkout, "rev-parse", "HEAD"), "clean", "Ada Lovelace")
    assert origin.tags[COMMIT_TAG] == origin.commit
    assert (origin.tags[TREE_TAG], origin.tags[AUTHOR_TAG]) == ("clean", "Ada Lovelace")


def test_changed_and_new_files_are_counted(checkout):
    (checkout / "a.py").write_text("2")
    (checkout / "b.py").write_text("3")
    assert origin_of(checkout).tree == "2 files differ from the commit"


def test_a_hooks_variables_lead_to_no_other_repository(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert origin_of(checkout).tree == "clean"


def test_outside_a_repository_the_origin_is_unknown(tmp_path):
    assert (origin_of(tmp_path).commit, origin_of(tmp_path).tree) == (UNKNOWN, UNKNOWN)


def test_a_folder_of_links_has_the_origin_of_the_checkout(checkout, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    (links / "workspace.yaml").symlink_to(checkout / "workspace.yaml")
    assert origin_of(links).commit == git(checkout, "rev-parse", "HEAD")


def test_a_folder_inside_anothers_checkout_does_not_take_its_commit(checkout):
    inside = checkout / "installed"
    inside.mkdir()
    (inside / "workspace.yaml").touch()
    assert origin_of(inside).commit == UNKNOWN
