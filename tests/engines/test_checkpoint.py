from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import NAMES, small_network
from yolov5_p6 import p6_network, save_yolov5_checkpoint

from speciesnet.engines.checkpoint import (
    globals_of,
    is_ultralytics_checkpoint,
    read_yolov5_checkpoint,
)
from speciesnet.errors import ModelError


def boxes_of(network: Any) -> torch.Tensor:
    image = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return network.detect.decode(network(image))


def test_network_of_a_checkpoint_computes_what_was_saved(yolov5_checkpoint: Path) -> None:
    saved = small_network().half().float()
    assert torch.equal(boxes_of(read_yolov5_checkpoint(yolov5_checkpoint)), boxes_of(saved))


def test_checkpoint_of_the_pypi_package_is_read(tmp_path: Path) -> None:
    path = tmp_path / "detector.pt"
    save_yolov5_checkpoint(small_network(), NAMES, path, package="yolov5.models")
    assert any(name.startswith("yolov5.models") for name in globals_of(path, "detector"))
    assert read_yolov5_checkpoint(path).detect.nc == 3


def test_checkpoint_of_the_older_class_name_is_read(shared: Path) -> None:
    path = shared / "packages" / "small_random" / "detector.pt"
    assert "models.yolo.Model" in globals_of(path, "detector")
    assert read_yolov5_checkpoint(path).detect.nc == 3


def test_weights_are_the_models_never_the_moving_averages(
    yolov5_checkpoint: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both.pt"
    network, average = small_network(0), small_network(1)
    save_yolov5_checkpoint(average, NAMES, tmp_path / "average.pt")
    save_yolov5_checkpoint(network, NAMES, both, ema=average)
    assert torch.equal(
        boxes_of(read_yolov5_checkpoint(both)), boxes_of(read_yolov5_checkpoint(yolov5_checkpoint))
    )


@pytest.mark.parametrize("as_buffer", [True, False])
def test_anchor_grid_of_old_checkpoints_is_passed_over(tmp_path: Path, as_buffer: bool) -> None:
    network = small_network()
    if as_buffer:
        network.detect.register_buffer("anchor_grid", torch.ones(4, 1, 3, 1, 1, 2))
    else:
        network.detect.anchor_grid = [torch.zeros(1)] * 4  # type: ignore[assignment]
    for module in network.modules():
        if isinstance(module, torch.nn.Upsample):
            del module.recompute_scale_factor  # which old versions of torch did not have
    save_yolov5_checkpoint(network, NAMES, tmp_path / "old.pt")
    restored = read_yolov5_checkpoint(tmp_path / "old.pt")
    assert torch.equal(boxes_of(restored), boxes_of(small_network().half().float()))


def test_pickle_that_runs_code_is_refused_and_named(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    path = tmp_path / "trap.pt"
    torch.save({"model": Trap()}, path)
    with pytest.raises(ModelError, match=r"trap.pt asks to run (posix|nt).system"):
        read_yolov5_checkpoint(path)
    assert not marker.exists()


def test_weights_that_claim_more_numbers_than_they_have_are_refused(tmp_path: Path) -> None:
    network = small_network()
    first: Any = network.model[0]
    shape = (10**6, *first.conv.weight.shape[1:])
    first.conv.weight = torch.nn.Parameter(torch.zeros(1, 1, 1, 1).half().expand(shape))
    save_yolov5_checkpoint(network, NAMES, tmp_path / "huge.pt")
    with pytest.raises(ModelError, match=r"huge.pt .* claims more numbers than it has"):
        read_yolov5_checkpoint(tmp_path / "huge.pt")


def test_layer_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"model": torch.nn.LSTM(2, 2)}, path)
    with pytest.raises(ModelError, match=r"torch.nn.modules.rnn.LSTM"):
        read_yolov5_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not found</html>", b"PK\x03\x04 half a zip", pickle.dumps({"model": 1})],
)
def test_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "detector.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"detector.pt cannot be read .* download it again"):
        is_ultralytics_checkpoint(path)


def test_checkpoint_cut_off_anywhere_is_refused(yolov5_checkpoint: Path, tmp_path: Path) -> None:
    whole = yolov5_checkpoint.read_bytes()
    path = tmp_path / "cut.pt"
    for part in (0.001, 0.2, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ModelError, match=r"cut.pt cannot be read"):
            read_yolov5_checkpoint(path)


@pytest.mark.parametrize("content", [{"model": None}, {"weights": 1}, [1, 2]])
def test_checkpoint_without_a_network_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "empty.pt"
    torch.save(content, path)
    with pytest.raises(ModelError, match=r"empty.pt does not contain a YOLOv5 network"):
        read_yolov5_checkpoint(path)


def test_detector_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "coco.pt"
    save_yolov5_checkpoint(p6_network(80, 0.33, 0.125), [str(i) for i in range(80)], path)
    with pytest.raises(ModelError, match=r"coco.pt has 80 classes; it must have 3"):
        read_yolov5_checkpoint(path)
