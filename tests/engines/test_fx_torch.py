"""Classifiers as onnx2torch saves them, made here by onnx2torch itself."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzz import files

from speciesnet import SpeciesNet
from speciesnet.engines.base import EngineOptions
from speciesnet.engines.select import load_classifier_engine
from speciesnet.errors import ModelError

onnx: Any = pytest.importorskip("onnx")


class Onnx:
    """A small graph, written down node by node."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[Any] = []
        self.numbers: list[Any] = []
        self.rng = np.random.default_rng(seed)

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.normal(0, 0.4, shape).astype(np.float32))

    def constant(self, value: Any) -> str:
        name = f"number_{len(self.numbers)}"
        self.numbers.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def __call__(self, kind: str, *inputs: str, **options: Any) -> str:
        output = f"out_{len(self.nodes)}"
        node = onnx.helper.make_node(kind, inputs, [output], name=f"model/{output}", **options)
        self.nodes.append(node)
        return output

    def save(self, path: Path, output: str, classes: int) -> torch.nn.Module:
        def value(name: str, shape: list[Any]) -> Any:
            return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

        graph = onnx.helper.make_graph(
            self.nodes, "graph", [value("image", ["batch", 480, 480, 3])],
            [value(output, ["batch", classes])], self.numbers,
        )  # fmt: skip
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
        module = pytest.importorskip("onnx2torch").convert(model)  # takes seconds to import
        torch.save(module, path)
        return module


def efficientnet(path: Path, classes: int = 2498) -> torch.nn.Module:
    """What an exported EfficientNet is made of: strides, depthwise, squeeze and excitation."""
    f = Onnx()
    two, one = (f.constant(np.float32(value)) for value in (2, 1))
    x = f("Sub", f("Mul", "image", two), one)
    x = f("Transpose", x, perm=[0, 3, 1, 2])
    x = f("Conv", x, f.weights(8, 3, 3, 3), f.weights(8), strides=[4, 4], pads=[0, 0, 1, 1])
    x = f("Mul", x, f("Sigmoid", x))
    x = f("Add", x, f("Conv", x, f.weights(8, 1, 3, 3), group=8, pads=[1, 1, 1, 1]))
    y = f("Squeeze", f("GlobalAveragePool", x), f.constant(np.array([2, 3])))
    y = f("Reshape", y, f.constant(np.array([0, 8, 1, 1])))
    y = f("Relu", f("Conv", y, f.weights(4, 8, 1, 1)))
    x = f("Mul", x, f("Sigmoid", f("Conv", y, f.weights(8, 4, 1, 1))))
    x = f("ReduceMean", x, axes=[2, 3], keepdims=0)
    return f.save(path, f("Gemm", x, f.weights(8, classes), f.weights(classes)), classes)


@pytest.mark.parametrize("engine", ["torch", "openvino", "auto"])
def test_logits_are_those_of_the_saved_module(tmp_path: Path, engine: Any) -> None:
    module = efficientnet(tmp_path / "classifier.pt")
    images = np.random.default_rng(1).integers(0, 255, (2, 480, 480, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = module(torch.from_numpy(images).float() / 255).numpy()
    found = load_classifier_engine(tmp_path / "classifier.pt", EngineOptions(engine))
    assert found.classes == 2498
    np.testing.assert_allclose(found(images), expected, rtol=1e-4, atol=1e-4)


def exported_padding(f: Onnx, x: str, *sides: int) -> str:
    """Padding as PyTorch's exporter writes it: from the last axis to the first, in many steps."""
    count = f.constant(np.array([8 - len(sides)]))
    zeros = f("ConstantOfShape", count, value=onnx.helper.make_tensor("value", 7, [1], [0]))
    pads = f("Concat", f("Constant", value_ints=list(sides)), zeros, axis=0)
    pads = f("Reshape", pads, f.constant(np.array([-1, 2])))
    start, end, axis, step = (f.constant(np.array([n])) for n in (-1, -(2**63) + 1, 0, -1))
    pads = f("Transpose", f("Slice", pads, start, end, axis, step), perm=[1, 0])
    pads = f("Cast", f("Reshape", pads, f.constant(np.array([-1]))), to=7)
    return f("Pad", x, pads)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_padding_that_the_exporter_computes_is_applied(tmp_path: Path, engine: Any) -> None:
    f = Onnx()
    x = f("Transpose", "image", perm=[0, 3, 1, 2])
    x = exported_padding(f, x, 0, 1, 2, 0)  # left, right, top, bottom
    x = f("Conv", x, f.weights(8, 3, 3, 3), strides=[4, 4])
    x = f("Flatten", f("Slice", x, *(f.constant(np.array([n])) for n in (-9, -3, 2, 2))))
    weights = f.weights(8 * 3 * 120, 3)
    module = f.save(tmp_path / "padded.pt", f("MatMul", x, weights), 3)
    images = np.random.default_rng(1).integers(0, 255, (2, 480, 480, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = module(torch.from_numpy(images).float() / 255).numpy()
    found = load_classifier_engine(tmp_path / "padded.pt", EngineOptions(engine))
    np.testing.assert_allclose(found(images), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_published_file_gives_the_logits_of_the_keras_file(shared: Path, engine: Any) -> None:
    images = np.random.default_rng(1).integers(0, 255, (2, 480, 480, 3), dtype=np.uint8)
    expected = load_classifier_engine(
        shared / "packages" / "small_random" / "classifier.keras", EngineOptions("torch")
    )
    found = load_classifier_engine(
        shared / "packages" / "small_random_pt" / "classifier.pt", EngineOptions(engine)
    )
    np.testing.assert_allclose(found(images), expected(images), rtol=1e-4, atol=1e-3)


def test_package_with_such_a_classifier_runs(materials: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(materials / "packages" / "small_random", package, copy_function=shutil.copyfile)
    package.chmod(0o755)
    efficientnet(package / "classifier.pt")
    info = json.loads((package / "info.json").read_text(encoding="utf-8"))
    (package / "info.json").write_text(json.dumps(info | {"classifier": "classifier.pt"}))
    answer = SpeciesNet(str(package)).predict(
        filepaths=[str(materials / "images" / "blank.jpg")], country="USA"
    )
    assert answer is not None
    assert answer["predictions"][0].get("prediction")


def test_unknown_module_is_named(tmp_path: Path) -> None:
    f = Onnx()
    x = f("ReduceMean", f("Erf", "image"), axes=[1, 2], keepdims=0)
    f.save(tmp_path / "odd.pt", x, 3)
    with pytest.raises(ModelError, match=r"odd.pt has a module OnnxErf, which is not supported"):
        load_classifier_engine(tmp_path / "odd.pt")


def test_tensorflow_does_not_run_it(tmp_path: Path) -> None:
    efficientnet(tmp_path / "classifier.pt")
    with pytest.raises(ModelError, match="tensorflow engine cannot run"):
        load_classifier_engine(tmp_path / "classifier.pt", EngineOptions("tensorflow"))


class _Trap(torch.nn.Module):
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("trapped",)


def test_file_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = efficientnet(tmp_path / "classifier.pt")
    module.note = _Trap()
    torch.save(module, "trap.pt")
    with pytest.raises(ModelError, match=r"trap.pt asks to run \w+.mkdir"):
        load_classifier_engine(tmp_path / "trap.pt")
    assert not Path("trapped").exists()


def test_source_of_the_graph_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module: Any = efficientnet(tmp_path / "classifier.pt")
    reduce: Any = type(module).__reduce__

    def with_other_source(self: Any) -> Any:
        function, (body, imports) = reduce(self)
        body["_code"] = "import os; os.mkdir('trapped')\n" + body["_code"].replace(
            "return", "os.mkdir('trapped'); return"
        )
        return function, (body, imports)

    monkeypatch.setattr(type(module), "__reduce__", with_other_source)
    torch.save(module, "trap.pt")
    with pytest.raises(ModelError, match=r"has the step .*os.mkdir"):
        load_classifier_engine(tmp_path / "trap.pt")
    assert not Path("trapped").exists()


def test_name_that_can_be_no_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    path.write_bytes(files.archive_of(b"\x80\x02connx2torch\na\0b\n)R."))
    with pytest.raises(ModelError, match=r"odd.pt cannot be read"):
        load_classifier_engine(path)


def test_weights_that_claim_more_numbers_than_they_have_are_refused(tmp_path: Path) -> None:
    module: Any = efficientnet(tmp_path / "classifier.pt")
    last = next(part for part in module.modules() if isinstance(part, torch.nn.Linear))
    last.weight = torch.nn.Parameter(torch.zeros(1, 1).expand(10**6, 10**6))  # 4 TB
    torch.save(module, tmp_path / "huge.pt")
    with pytest.raises(ModelError, match=r"huge.pt .* claims more numbers than it has"):
        load_classifier_engine(tmp_path / "huge.pt")


def test_other_pytorch_files_are_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "state.pt")
    with pytest.raises(ModelError, match=r"state.pt contains no torch.fx graph"):
        load_classifier_engine(tmp_path / "state.pt")
