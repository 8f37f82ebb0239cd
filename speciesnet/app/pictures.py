"""Small pictures with boxes, for the pages that show a run."""

from __future__ import annotations

import io
import threading

from speciesnet.ensemble.taxonomy import split_label
from speciesnet.errors import ImageError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.records import Record

QUALITY = 80
_SLOTS = threading.BoundedSemaphore(2)  # the run needs the cores


def picture(record: Record) -> bytes:
    """The photograph of a record as a small JPEG with its likely boxes; raises ``ImageError``."""
    from speciesnet.constants import DETECTION_THRESHOLD
    from speciesnet.display import draw_bboxes
    from speciesnet.survey.report.thumbnails import thumbnail

    source = Photographs().source(record["filepath"])
    if source is None:
        raise ImageError("there is no file at the path in the predictions")
    frame = record["frame"]["frame_number"] if "frame" in record else None
    boxes = [box for box in record.get("detections") or () if box["conf"] >= DETECTION_THRESHOLD]
    names = [split_label(box.get("prediction") or box["label"]).name for box in boxes]
    buffer = io.BytesIO()
    with _SLOTS:
        drawn = draw_bboxes(thumbnail(source, frame=frame), boxes, names)
        drawn.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
