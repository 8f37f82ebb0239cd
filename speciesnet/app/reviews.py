"""Reviews in the window: the application of ``speciesnet review``, mounted below a path."""

from __future__ import annotations

import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from speciesnet.app.errors import PageError
from speciesnet.app.surveys import Survey, Surveys
from speciesnet.errors import SpeciesNetError

if TYPE_CHECKING:
    from starlette.applications import Starlette


@dataclass(frozen=True)
class _Open:
    """The review that is loaded."""

    survey: str
    state: tuple[int, int]  # of the predictions file: size and time
    app: Starlette
    resources: ExitStack


class Reviews:
    """Serves reviews; only the latest one stays loaded, to save memory.

    Args:
        surveys: The surveys.
    """

    def __init__(self, surveys: Surveys) -> None:
        self._surveys = surveys
        self._open: _Open | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request below ``/surveys/ID/review``."""
        survey = self._surveys.get(scope["path_params"]["survey"])
        app = await run_in_threadpool(self.app_of, survey, reload=False)
        await app(scope, receive, send)

    def app_of(self, survey: Survey, *, reload: bool) -> Starlette:
        """The application of a review.

        Args:
            survey: The survey.
            reload: Whether to load it again if the predictions have changed since.

        Raises:
            PageError: The survey has no predictions, they cannot be read, or another program has them
                open for review.
        """
        with self._lock:
            survey.check_predictions()
            facts = Path(survey.predictions).stat()
            state = (facts.st_size, facts.st_mtime_ns)
            opened = self._open
            if opened and opened.survey == survey.id and (not reload or opened.state == state):
                return opened.app
            self.close()
            try:
                app, resources = _load(survey)
            except SpeciesNetError as error:
                raise PageError(409, "no_review", str(error)) from error
            self._open = _Open(survey.id, state, app, resources)
            return app

    def close(self) -> None:
        """Closes the review, so that other programs may write its corrections."""
        if self._open:
            self._open.resources.close()
            self._open = None


def _load(survey: Survey) -> tuple[Starlette, ExitStack]:
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.report.pages import Link
    from speciesnet.report.review import Review, make_app
    from speciesnet.survey.corrections import (
        CorrectionsFile,
        corrections_path,
        read_corrections,
        read_verdicts,
    )
    from speciesnet.survey.dates import DateRules
    from speciesnet.survey.stones import stones_in_pictures, with_verdicts
    from speciesnet.survey.survey import load_survey

    path = corrections_path(survey.predictions)
    photographs = Photographs()
    with ExitStack() as stack:
        file = stack.enter_context(CorrectionsFile(path))
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        corrections, dates = read_corrections(path), DateRules()
        dates.add_note(corrections.note, is_logged=True)
        loaded = load_survey(
            survey.predictions,
            photographs=photographs,
            corrections=corrections,
            dates=dates,
            smooth_boxes=False,  # a reviewer corrects the predicted answers
        )
        token = f"surveys/{survey.id}/review"  # the window has checked the cookie
        back = [Link(f"/surveys/{survey.id}", f"← {survey.name}")]
        stones = with_verdicts(stones_in_pictures(loaded.pictures), read_verdicts(path))
        review = Review(loaded, file, stones=stones)
        app = make_app(review, photographs, folder, token=token, back=back)
        return app, stack.pop_all()
