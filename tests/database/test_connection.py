"""What a database refuses is a sentence of ours, whichever way it was asked."""

from __future__ import annotations

import pytest

from serving_world import Ward
from vitalwatch.database.connection import bulk
from vitalwatch.database.tables import counters
from vitalwatch.errors import DatabaseError


def test_rows_that_are_refused_in_bulk_are_told_as_others_are_and_nothing_of_them_stays(tmp_path, both):
    ward = Ward(tmp_path, None, both)
    database = ward.engine.database
    with pytest.raises(DatabaseError, match="refused"), database.writing() as connection:
        bulk(connection, counters, ("name", "value"), [("twice", 1), ("once", 2), ("twice", 3)])
    with database.writing() as connection:
        bulk(connection, counters, ("name", "value"), [("once", 5)])
    with database.reading() as connection:
        told = {row.name: row.value for row in connection.execute(counters.select())}

    assert (5, False) == (told["once"], "twice" in told)
    ward.engine.close()
