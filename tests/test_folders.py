import pytest

from slime.audit_stores import parse_words as audit_words
from slime.errors import SlimeError
from slime.files import append_line, write_text
from slime.folders import check_place, make_folder
from slime.observables.command import parse_words as measure_words
from slime.recover.command import parse_words as recover_words
from slime.simulate import make_movies


@pytest.fixture
def taken(tmp_path):
    """A path below a file, where no folder can be."""
    (tmp_path / "a file").write_text("")
    return tmp_path / "a file" / "deeper"


def test_a_folder_is_made_with_those_above_it(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_nothing_is_written_by_looking(tmp_path):
    check_place(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_what_lies_below_a_file_is_refused_by_name(taken):
    for write in (
        make_folder,
        lambda path: write_text(path / "table.csv", ""),
        lambda path: append_line(path / "lines.jsonl", {}),
    ):
        with pytest.raises(SlimeError, match=r"the folder .*a file/deeper cannot be made: Not a"):
            write(taken)
    with pytest.raises(SlimeError, match=r"deeper cannot be made: .*a file is not a directory"):
        check_place(taken)


@pytest.mark.parametrize("words", [audit_words, measure_words, recover_words])
def test_commands_refuse_such_a_place_before_they_compute(taken, words):
    with pytest.raises(SlimeError, match=r"out=.*is not a directory"):
        words(["dish.zarr", f"out={taken}"])


def test_a_world_is_not_filmed_into_such_a_place(taken):
    with pytest.raises(SlimeError, match=r"a file/deeper cannot be made"):
        make_movies("sgro", [taken / "dish.zarr"], seeds=[0], size_px=8, n_frames=1)
