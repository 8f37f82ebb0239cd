"""The stages of a cluster, one after the other in this process."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any, cast

import clips
import numpy as np
import pytest
from PIL import Image
from surveys import LABELS

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs speciesnet[ray]", allow_module_level=True)

from speciesnet import SpeciesNet
from speciesnet.ensemble.thresholds import read_thresholds
from speciesnet.images.films import Sampling
from speciesnet.images.instances import SAMPLE_IMAGES, Instance
from speciesnet.predictions.layout import decode_line
from speciesnet.run import Run
from speciesnet.run.distributed import stages
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.job import Job
from speciesnet.run.model import ModelOptions

SIZE = (320, 240)


class Reporter:
    """Adds up what the stages report."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, stage: str, images: int, _: object = ()) -> None:
        self.counts[stage] = self.counts.get(stage, 0) + images


@pytest.mark.parametrize("believes_all", [True, False])
def test_frames_in_any_order_become_the_records_of_a_local_run(
    believes_all: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = None
    if not believes_all:
        rows = [f'"{label}",1' for label in LABELS.values() if label.count(";") == 6]
        thresholds = str(tmp_path.with_suffix(".csv"))
        Path(thresholds).write_text("\n".join(["label,threshold", *rows]))
    scenes = [
        np.asarray(Image.open(path).convert("RGB").resize(SIZE))
        for path in sorted(SAMPLE_IMAGES.rglob("*.jpg"))[:2]
    ]
    clips.film(tmp_path / "a.mp4", size=SIZE, fps=4, shown=scenes[:1] * 6 + scenes[1:] * 6)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.mp4").read_bytes())
    (tmp_path / "c.avi").write_bytes(b"no film")
    Image.fromarray(scenes[1]).save(tmp_path / "d.jpg")
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    local = SpeciesNet("demo", precision="fp32", threads=1).predict(
        filepaths=paths, video_fps=2.0, metadata=True, thresholds=thresholds
    )
    assert local is not None
    sources = [one.get("prediction_source", "") for one in local["predictions"]]
    assert any(one.endswith("+below_threshold") for one in sources) == (thresholds is not None)

    options = ModelOptions("demo", precision="fp32", threads=1)
    rules = None if thresholds is None else read_thresholds(thresholds)
    run = Run(films=Sampling(fps=2.0), metadata=True, thresholds=rules)
    job = Job(folder=Folder(str(tmp_path)), model=options, run=run, resources=cast("Any", None))
    monkeypatch.setattr(stages, "BLOCK_BYTES", 1)  # each frame goes its own way
    reporter: Any = Reporter()
    shape = stages.input_shape_of(options)
    read = list(stages.read(stages.pack(map(Instance, paths)), job, shape, reporter))
    assert len(read) == 6 + 6 + 1 + 1
    random.Random(0).shuffle(read)
    detect, classify = stages.Detect(job, reporter), stages.Classify(job, reporter)
    films, found = stages.FilmsInParts(job), []
    for table in map(classify, map(detect, read)):
        lines = [*table["record"].to_pylist(), *films.lines_of(table["frame"].to_pylist())]
        found += [decode_line(line) for line in lines if line]
    records = {record["filepath"]: record for record in found if record}
    assert [records[path] for path in paths] == local["predictions"]
    assert reporter.counts == {"Reading": 4, "Detector": 4, "Classifier": 4}
