"""Files appear whole or not at all."""

import pytest

from aelib.errors import BadInput
from aelib.writing import whole


def test_takes_its_place_only_when_all_went_well(tmp_path):
    path = tmp_path / "model.keras"
    with whole(path) as part:
        part.write_text("one")
        assert part.parent == tmp_path and part.suffix == ".keras" and not path.exists()
    with pytest.raises(ZeroDivisionError), whole(path) as part:
        part.write_text("two")
        raise ZeroDivisionError
    assert path.read_text() == "one" and list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_one_line(tmp_path):
    missing = tmp_path / "none" / "a.txt"
    with pytest.raises(BadInput, match="cannot write") as caught, whole(missing) as part:
        part.write_text("x")
    assert "\n" not in str(caught.value)
