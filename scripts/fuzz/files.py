"""Small valid files in all formats that are read, to be damaged by fuzzing."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from speciesnet.images.instances import find_images

EMPTY_GROUPS = ("vars", "layers/input_layer/vars", "layers/rescaling/vars", "layers/activation/vars",
                "layers/global_average_pooling2d/vars")  # fmt: skip
EXIF_POINTER, GPS_POINTER = 0x8769, 0x8825


def replaced(archive: bytes, ending: str, data: bytes) -> bytes:
    """A zip archive with new content, and its checksum, in the member whose name has this ending."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith(ending) else old.read(name))
    return out.getvalue()


def archive_of(pickled: bytes) -> bytes:
    """A PyTorch file with this pickle and no tensors."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (("data.pkl", pickled), ("version", b"3\n"), ("byteorder", b"little")):
            archive.writestr(f"archive/{name}", data)
    return out.getvalue()


def member(archive: bytes, ending: str) -> bytes:
    """The content of the member whose name has this ending."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read(next(name for name in opened.namelist() if name.endswith(ending)))


@functools.cache
def photographs() -> list[bytes]:
    """A small demo photograph in every format that is read, with a camera's metadata."""
    with Image.open(find_images(["demo"])[0]) as opened:
        picture = opened.convert("RGB").resize((64, 48))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model", 6
    plain_exif = Image.Exif()  # Pillow cannot save the tables behind pointers in a TIFF
    plain_exif.update(exif)
    exif[EXIF_POINTER] = {0x9003: "2024:05:01 06:30:00", 0x9011: "+03:00"}
    exif[GPS_POINTER] = {1: "S", 2: (1.0, 15.0, 30.5), 3: "E", 4: (36.0, 45.0, 0.0)}
    grey, palette = picture.convert("L"), picture.quantize(16)
    variants: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (picture, "JPEG", {"exif": exif}),
        (picture, "JPEG", {"progressive": True, "optimize": True}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture, "MPO", {"save_all": True, "append_images": [picture]}),
        (picture, "JPEG2000", {}),
        (picture, "PNG", {"exif": exif}),
        (palette, "PNG", {"transparency": 0}),
        (Image.fromarray(np.asarray(grey, np.uint16) * 9), "PNG", {}),
        (picture, "TIFF", {"exif": plain_exif}),
        *((picture, "TIFF", {"compression": kind}) for kind in ("tiff_lzw", "jpeg", "packbits")),
        (picture, "TIFF", {"tiffinfo": TiffImagePlugin.ImageFileDirectory_v2(), "big_tiff": True}),
        (picture, "WEBP", {"exif": exif}),
        (picture, "WEBP", {"save_all": True, "append_images": [picture.rotate(180)]}),
        (palette, "GIF", {"save_all": True, "append_images": [palette.rotate(180)]}),
        (picture, "BMP", {}),
        (grey, "BMP", {}),
    ]
    found = []
    for image, kind, options in variants:
        out = io.BytesIO()
        image.save(out, kind, **options)
        found.append(out.getvalue())
    return found


def _saved(content: Any) -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


@functools.cache
def checkpoint() -> bytes:
    """A detector with the smallest network of MegaDetector's architecture."""
    import torch
    from yolov5_p6 import p6_network, save_yolov5_checkpoint

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector.pt"
        save_yolov5_checkpoint(p6_network(3, 0.01, 0.001), ["animal", "person", "vehicle"], path)
        return path.read_bytes()


def fx_file(source: str | None = None) -> bytes:
    """A classifier as a pickled ``torch.fx`` graph, optionally with different source code."""
    module = _fx_module()
    if source is None:
        return _saved(module)
    own = module.__dict__["_code"]
    module.__dict__["_code"] = source
    try:
        return _saved(module)
    finally:
        module.__dict__["_code"] = own


def fx_source() -> str:
    """The source code in that file."""
    return _fx_module().__dict__["_code"]


@functools.cache
def _fx_module() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    # The image comes with its channels last: rows are taken for channels, which is as good here.
    layers = [
        nn.Conv2d(480, 2, (16, 1), stride=(16, 1)), nn.BatchNorm2d(2), nn.ReLU(),
        nn.Flatten(), nn.Dropout(), nn.Linear(180, 3),
    ]  # fmt: skip
    graph = torch.fx.Graph()
    answer = graph.placeholder("image")
    for i in range(len(layers)):
        answer = graph.call_module(f"layer_{i}", (answer,))
    graph.output(answer)
    named = {f"layer_{i}": layer for i, layer in enumerate(layers)}
    return torch.fx.GraphModule(named, graph).eval()


@functools.cache
def keras_file() -> bytes:
    """A classifier as saved by Keras 2, with four channels and three classes."""
    shapes = {
        "conv2d": [(16, 16, 3, 4), (4,)],
        "batch_normalization": [(4,)] * 4,
        "dense": [(4, 3), (3,)],
    }
    random = np.random.default_rng(0)
    return keras_archive(
        {group: [random.uniform(0.5, 1, size) for size in sizes] for group, sizes in shapes.items()}
    )


def keras_archive(weights: Mapping[str, Sequence[NDArray[np.float64]]]) -> bytes:
    """A file as saved by Keras 2: scaling, a convolution, a batch norm, a mean, classes.

    Args:
        weights: The arrays of "conv2d", "batch_normalization" and "dense".
    """
    import h5py

    channels, classes = (weights[group][0].shape[-1] for group in ("conv2d", "dense"))
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("InputLayer", {"batch_input_shape": [None, 480, 480, 3]}),
        ("Rescaling", {"scale": 2.0, "offset": -1.0}),
        ("Conv2D", {"filters": channels, "kernel_size": [16, 16], "strides": [16, 16],
                    "padding": "same", "data_format": "channels_last", "dilation_rate": [1, 1],
                    "groups": 1, "activation": "swish"}),
        ("BatchNormalization", {"axis": [3], "epsilon": 1e-3, "center": True, "scale": True}),
        ("Activation", {"activation": "relu"}),
        ("GlobalAveragePooling2D", {"data_format": "channels_last", "keepdims": False}),
        ("Dense", {"units": classes, "use_bias": True, "activation": "linear"}),
    ]  # fmt: skip
    layers = [
        {
            "module": "keras.layers",
            "class_name": kind,
            "config": {"name": f"layer_{i}", **options},
            "name": f"layer_{i}",
            "inbound_nodes": [[[f"layer_{i - 1}", 0, 0, {}]]] if i else [],
        }
        for i, (kind, options) in enumerate(kinds)
    ]
    config = {
        "module": "keras.src.engine.functional",
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": layers,
            "input_layers": [["layer_0", 0, 0]],
            "output_layers": [[f"layer_{len(kinds) - 1}", 0, 0]],
        },
    }
    content, out = io.BytesIO(), io.BytesIO()
    with h5py.File(content, "w") as file:
        for group in EMPTY_GROUPS:  # TensorFlow expects them
            file.create_group(group)
        for group, arrays in weights.items():
            for i, numbers in enumerate(arrays):
                file[f"layers/{group}/vars/{i}"] = numbers.astype(np.float32)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", content.getvalue())
    return out.getvalue()
