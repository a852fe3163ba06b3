"""The expected heart rate judged on people it was not learnt from, after their enrolment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitalwatch import features, learning
from vitalwatch.lines.forecast import measured
from vitalwatch.metrics.regression import error_sums
from vitalwatch.stages.people import enrolled_until
from vitalwatch.studies.costs import processor_time
from vitalwatch.studies.people import Roles
from vitalwatch.tables import Doubles, Floats


@dataclass(frozen=True)
class Expected:
    """A model of the expected heart rate, judged.

    Attributes:
        sums: Error sums of each judged person, (p, 5).
        onnx: The model.
        seconds: Processor time of training, with the population's normal.
        x: Its inputs for one judged person, (n, 28).
    """

    sums: Doubles
    onnx: bytes
    seconds: float
    x: Floats


def expected(roles: Roles) -> Expected:
    """Learn from `learn` people with the settings of `roles` and judge on `judge` people."""
    params, step = roles.settings.params, roles.settings.schema.step_minutes
    with processor_time() as clock:
        made, learnt = learning.learn(
            roles.people["learn"], params.regressor, params.baseline, step, params.seed, roles.settings.config.jobs
        )
    sums = []
    for person in roles.people["judge"]:
        rows = learning.rows_of(person, learnt, params.baseline, step)
        late = person.grid.time >= enrolled_until(person.grid, params.baseline.enrolment_days)
        sums.append(error_sums(measured(person.grid, "heart_rate")[late], rows.expected[late]))
    about = features.person_row(person.profile, learnt.usual_person)
    x = np.concatenate((rows.moments, np.broadcast_to(about, (len(rows.moments), len(about)))), axis=1)
    return Expected(np.stack(sums), made, clock.seconds, np.ascontiguousarray(x, np.float32))
