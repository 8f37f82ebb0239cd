"""Files of networks, damaged and hostile: a network or a readable error, and no code is run."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fuzz import files, targets
from fuzz.hostile import MAKES_FOLDER, RUNNING, pickled
from fuzz.mutations import HOSTILE_PICKLES, damaged, edited, nested, steady, with_code
from fuzz.seeds import seeds_of
from hypothesis import given
from hypothesis import strategies as st

from speciesnet.errors import ModelError

WHOLE = [files.checkpoint(), files.fx_file(), files.keras_file()]
KERAS_CONFIG = json.loads(seeds_of("keras_config")[0])


@given(damaged(WHOLE))
@steady(100)
def test_damaged_file_gives_a_network_or_a_model_error(data: bytes) -> None:
    targets.network(data)


@given(damaged(seeds_of("checkpoint_pickle")[:1]))
@steady(40)
def test_damage_inside_of_a_checkpoint(data: bytes) -> None:
    targets.checkpoint_pickle(data)


@given(damaged(seeds_of("fx_pickle")[:1]))
@steady(200)
def test_damage_inside_of_a_pytorch_classifier(data: bytes) -> None:
    targets.fx_pickle(data)


@given(damaged(seeds_of("fx_source")) | st.text().map(lambda text: text.encode("utf-8", "replace")))
@steady(100)
def test_any_source_inside_of_a_pytorch_classifier(data: bytes) -> None:
    targets.fx_source(data)


@given(edited([KERAS_CONFIG]) | damaged(seeds_of("keras_config")) | nested())
@steady(150)
def test_any_configuration_of_a_keras_file(data: bytes) -> None:
    targets.keras_config(data)


@given(with_code(KERAS_CONFIG))
@steady(100)
def test_code_anywhere_in_a_keras_file_is_refused(config: bytes) -> None:
    data = files.replaced(files.keras_file(), "config.json", config)
    _refuses(targets.readers().classifier, data, "asks to run")


@given(HOSTILE_PICKLES)
@steady(300)
def test_hostile_pickle_is_refused_and_runs_nothing(data: bytes) -> None:
    use = targets.readers()
    for read in (use.yolov5, use.classifier, targets.ultralytics_reader()):
        _refuses(read, files.archive_of(data))
        _refuses(read, data)  # as PyTorch saved before it used archives


def _refuses(read: Any, data: bytes, words: str = "") -> None:
    with (
        targets.file_of(data, "network.pt") as path,
        targets.no_code_runs(),
        pytest.raises(ModelError, match=words),
    ):
        read(path)


@pytest.mark.parametrize("way", RUNNING)
def test_hostile_pickles_run_where_python_unpickles_them(
    way: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickled(way, MAKES_FOLDER)
    with (
        pytest.raises(targets.CodeRunError, match=r"os\.mkdir"),
        targets.no_code_runs(),
        suppress(AttributeError),  # where the answer is used
    ):
        pickle.loads(data)
    assert [path.name for path in tmp_path.iterdir()] == [MAKES_FOLDER[2]]
