"""Tampering with the audit log is found: delete, edit, reorder, truncate, insert, and an anchor that was changed."""

from __future__ import annotations

import json
import time

import pytest
from sqlalchemy import delete, insert, select, update

from serving_world import Clock, Ward
from vitalwatch.database.audit import Book
from vitalwatch.database.tables import audit, counters

ENTRIES = 6


@pytest.fixture
def book(tmp_path, url) -> Book:
    ward = Ward(tmp_path, None, url)
    for n in range(ENTRIES):
        ward.engine.audit.note("key-1", "person.read", f"p-{n}", {"n": n})
    ward.engine.audit.move_anchor()
    yield ward.engine.audit
    ward.engine.database.close()


def rewrite(book: Book, *statements) -> None:
    with book.database.writing() as connection:
        for statement in statements:
            connection.execute(statement)


def rows(book: Book) -> list[dict]:
    with book.database.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(select(audit).order_by(audit.c.no))]


def test_a_log_as_it_was_written_is_whole(book):
    verdict = book.verify()

    assert (ENTRIES, ENTRIES, ()) == (verdict.entries, verdict.anchored, verdict.problems)


def test_a_deleted_entry_is_found(book):
    rewrite(book, delete(audit).where(audit.c.no == 3))

    assert "Entries 3 to 3 are missing." in book.verify().problems


def test_a_changed_entry_is_found(book):
    rewrite(book, update(audit).where(audit.c.no == 3).values(actor="somebody else"))

    assert ("Entry 3 is not what was written.",) == book.verify().problems


def test_a_changed_entry_with_a_seal_made_without_the_key_is_found(book):
    forged = Book(book.database, type("Keyless", (), {"audit": bytes(32)})(), book.anchor, Clock())
    third = book.entries()[2]
    changed = type(third)(**{**vars(third), "actor": "somebody else"})
    rewrite(book, update(audit).where(audit.c.no == 3).values(actor="somebody else", seal=forged._seal(changed)))

    assert "Entry 3 is not what was written." in book.verify().problems


def test_entries_in_another_order_are_found(book):
    third, fourth = rows(book)[2:4]
    moved = [{**third, "no": 4}, {**fourth, "no": 3}]
    rewrite(book, delete(audit).where(audit.c.no.in_([3, 4])), insert(audit).values(moved))

    assert 2 == len([problem for problem in book.verify().problems if "not what was written" in problem])


def test_an_inserted_entry_is_found(book):
    rewrite(book, insert(audit).values({**rows(book)[-1], "no": ENTRIES + 1}))

    assert f"Entry {ENTRIES + 1} is not what was written." in book.verify().problems


def test_a_cut_off_tail_is_found_thanks_to_the_anchor(book):
    rewrite(book, delete(audit).where(audit.c.no > 4))

    assert [f"Entry {ENTRIES} stands in the anchor and is gone: the log was cut off or replaced."] == list(
        book.verify().problems
    )
    book.anchor.unlink()
    assert ["There is no anchor"] == [problem[:18] for problem in book.verify().problems]


def test_a_log_that_was_emptied_is_found(book):
    rewrite(book, delete(audit))

    assert 1 == len(book.verify().problems)


def test_an_anchor_that_was_changed_is_found(book):
    line = json.loads(book.anchor.read_text())
    book.anchor.write_text(json.dumps({**line, "no": 2}) + "\n")

    assert "the anchor of the audit log was changed" in book.verify().problems[0]


@pytest.mark.parametrize("cut", [delete(audit).where(audit.c.no > 4), delete(audit)])
def test_an_anchor_never_follows_a_log_that_was_cut_off(book, cut):
    before = book.anchor.read_text()
    rewrite(book, cut)
    rewrite(book, update(counters).where(counters.c.name == "audit").values(value=4))
    later = Book(book.database, type("Secret", (), {"audit": book._key})(), book.anchor, Clock())
    later.move_anchor()
    later.note("key-1", "person.read")
    later.move_anchor()

    assert before == book.anchor.read_text()
    assert any("stands in the anchor" in problem or "rewritten" in problem for problem in later.verify().problems)


def test_while_serving_the_anchor_follows_what_was_done(tmp_path, url):
    ward = Ward(tmp_path, None, url)
    ward.engine.start()
    with ward.engine.database.writing() as connection:
        ward.engine.audit.write(connection, "key-1", "alarm.acknowledge", "a")
    until = time.monotonic() + 20
    while ward.engine.audit.verify().anchored < 1 and time.monotonic() < until:
        time.sleep(0.1)
    anchored = ward.engine.audit.verify().anchored
    ward.engine.close()

    assert 1 == anchored


def test_the_anchor_keeps_a_line_a_day_and_the_newest(tmp_path):
    ward = Ward(tmp_path, None)
    for _ in range(3):
        for _ in range(2):
            ward.engine.audit.note("key-1", "read")
            ward.engine.audit.move_anchor()
        ward.clock.ms += 86_400_000
    lines = [json.loads(line)["no"] for line in ward.engine.audit.anchor.read_text().splitlines()]

    assert [2, 4, 6] == lines
    assert () == ward.engine.audit.verify().problems


def test_what_was_rolled_back_is_not_in_the_log(book):
    def half() -> None:
        with book.database.writing() as connection:
            book.write(connection, "key-1", "alarm.acknowledge", "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    book.note("key-1", "after")

    assert ENTRIES + 1 == book.verify().entries
    assert () == book.verify().problems
