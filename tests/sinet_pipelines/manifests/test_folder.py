"""Rendered files are written whole, again and again, and never over somebody's work or outside of their folder."""

import pytest

from sinet_pipelines.errors import UsageError
from sinet_pipelines.manifests.folder import write


def test_what_is_written_again_is_as_it_was(tmp_path):
    assert write({"east/a.yaml": "a\n", "b.sh": "b\n"}, tmp_path / "out") == ["b.sh", "east/a.yaml"]
    assert write({"east/a.yaml": "a\n", "b.sh": "b\n"}, tmp_path / "out") == []
    assert (tmp_path / "out" / "b.sh").stat().st_mode & 0o777 == 0o755


def test_what_changed_is_told_and_what_is_no_more_goes(tmp_path):
    write({"east/a.yaml": "a\n", "west/a.yaml": "a\n"}, tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    assert write({"east/a.yaml": "another\n"}, tmp_path) == ["east/a.yaml", "west/a.yaml"]
    assert (tmp_path / "east" / "a.yaml").read_text() == "another\n"
    assert not (tmp_path / "west" / "a.yaml").exists()
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("wanted", [{"a.yaml": "new\n", "b.yaml": "b\n"}, {"b.yaml": "b\n"}])
def test_an_edited_file_is_not_overwritten_or_removed_and_nothing_is_written(tmp_path, wanted):
    write({"a.yaml": "a\n"}, tmp_path)
    (tmp_path / "a.yaml").write_text("edited\n")
    with pytest.raises(UsageError, match=r"changed by hand or come from elsewhere: a\.yaml; put changes into"):
        write(wanted, tmp_path)
    assert (tmp_path / "a.yaml").read_text() == "edited\n"
    assert not (tmp_path / "b.yaml").exists()


def test_a_file_of_somebody_elses_is_not_overwritten(tmp_path):
    (tmp_path / "a.yaml").write_text("theirs\n")
    with pytest.raises(UsageError, match="come from elsewhere"):
        write({"a.yaml": "a\n"}, tmp_path)


@pytest.mark.parametrize("name", ["../a.yaml", "/etc/a.yaml", "east/../../a.yaml", "", ".rendered.json"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="is no name of a file in"):
        write({name: "a"}, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "east").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        write({"east/a.yaml": "a\n"}, tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("text", ["[", "[]", '{"../a": "0"}'])
def test_a_damaged_index_is_refused(tmp_path, text):
    (tmp_path / ".rendered.json").write_text(text)
    with pytest.raises(UsageError, match="is damaged|is no name of a file"):
        write({"a.yaml": "a\n"}, tmp_path)
