"""readers.table: our own recordings, read strictly; nothing about a file is guessed."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vitalwatch import readers
from vitalwatch.errors import SourceError
from vitalwatch.readers import Batch
from vitalwatch.settings import Settings

NOW = 1_790_000_000_000
HEAD = "person,time,heart_rate\n"
Row = tuple[str, int, int, float]
ROW = "p1,2026-01-05T08:00:00+01:00,72\n"


def read(path: Path, settings: Settings, **options: object) -> tuple[list[Row], Counter[str], list[Batch]]:
    """Return (person, time, offset, heart rate) of accepted rows, refusals by reason, and the batches."""
    rows: list[tuple[str, int, int, float]] = []
    refused: Counter[str] = Counter()
    batches = list(readers.read(path, settings.schema, now_ms=NOW, **options))  # type: ignore[arg-type]
    for batch in batches:
        taken = batch.rows
        assert batch.read == len(taken) + sum(batch.refused.values())
        refused.update(batch.refused)
        for i in range(len(taken)):
            rate = float(taken.values["heart_rate"][i])
            rows.append((taken.people[taken.person[i]], int(taken.time[i]), int(taken.offset[i]), rate))
    return rows, refused, batches


def write(folder: Path, text: str | bytes, name: str = "readings.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("person", ["007", "NULL", "nan", "1e5"])
def test_names_of_people_stay_text(person: str, tmp_path: Path, settings: Settings):
    rows, _, _ = read(write(tmp_path, HEAD + ROW.replace("p1", person)), settings)

    assert [(person, 1_767_596_400_000, 60, 72.0)] == rows


def test_bad_cells_are_refused_with_row_and_cells(tmp_path: Path, settings: Settings):
    bad = {"NaN": "not_finite", "1e400": "not_finite", "72bpm": "wrong_type", "0x48": "wrong_type",
           '"72,5"': "wrong_type", "900": "out_of_physical_range", "": "empty", "--": "empty"}  # fmt: skip
    text = HEAD + "".join(ROW.replace("72", cell) for cell in bad) + ROW
    rows, refused, batches = read(write(tmp_path, text), settings)

    assert 1 == len(rows)
    assert Counter(bad.values()) == refused
    rejects = {reject.position: reject for batch in batches for reject in batch.rejects}
    assert "wrong_type" == rejects["row 6"].reason
    assert b'{"person": "p1", "time": "2026-01-05T08:00:00+01:00", "heart_rate": "72,5"}' == rejects["row 6"].raw


def test_ragged_rows_are_refused_and_counted(tmp_path: Path, settings: Settings):
    text = HEAD + ROW + "p1,2026-01-05T08:05:00+01:00,72,5\n" + ROW + "p1\n"
    rows, refused, batches = read(write(tmp_path, text), settings)

    assert 2 == len(rows)
    assert {"ragged_row": 2} == refused
    assert b"p1,2026-01-05T08:05:00+01:00,72,5" == batches[0].rejects[0].raw


def test_a_header_in_the_middle_is_a_refused_row(tmp_path: Path, settings: Settings):
    _, refused, _ = read(write(tmp_path, HEAD + ROW + HEAD + ROW), settings)

    assert {"bad_timestamp": 1} == refused


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is empty"),
        ((HEAD + ROW).encode("utf-16"), "is not UTF-8"),
        ((HEAD + ROW).replace(",", ";"), "separated by ';'"),
        ((HEAD + ROW).replace(",", "\t"), "separated by tabs"),
        (HEAD + ROW + "caf\xe9".encode("latin-1").decode("latin-1"), None),
        ((HEAD + ROW.replace("p1", "p\xe9")).encode("latin-1"), "is not UTF-8"),
        (HEAD.replace("heart_rate", "Pulse (bpm)") + ROW, "has no column heart_rate"),
        (HEAD.replace("time", "person"), "stands there twice"),
        ("\n" + HEAD + ROW, "has no column person"),
        ('"person' + ROW, "has no column|no list of column names"),
    ],
)
def test_a_file_that_would_need_guessing_is_refused(
    text: str | bytes, problem: str | None, tmp_path: Path, settings: Settings
):
    path = write(tmp_path, text)
    if problem is None:
        assert 1 == len(read(path, settings, format="table")[0])
        return
    with pytest.raises(SourceError, match=problem) as error:
        read(path, settings, format="table")
    assert 4 == error.value.exit_code
    assert error.value.hint


@pytest.mark.parametrize(
    "bad", [b"p\xe91,2026-01-05T08:00:00Z,72\n", b"p1,\xff,2026,1\n", b"p1,2026\0,72\n", b"p1\xc3"]
)
def test_the_line_that_is_not_utf_8_is_named(bad: bytes, tmp_path: Path, settings: Settings):
    path = write(tmp_path, (HEAD + ROW * 40_000).encode() + bad)

    with pytest.raises(SourceError, match="line 40002: is not UTF-8"):
        read(path, settings)


def test_a_byte_order_mark_and_crlf_are_harmless(tmp_path: Path, settings: Settings):
    rows, refused, _ = read(write(tmp_path, "\ufeff" + (HEAD + ROW + ROW).replace("\n", "\r\n")), settings)

    assert 2 == len(rows)
    assert not refused


def test_columns_can_have_other_names(tmp_path: Path, settings: Settings):
    path = write(tmp_path, HEAD.replace("heart_rate", "Pulse (bpm)").replace("person", "Id") + ROW)
    rows, _, _ = read(path, settings, columns={"heart_rate": "Pulse (bpm)", "person": "Id"})

    assert 72.0 == rows[0][3]


def test_identifying_and_unknown_columns_are_named_and_not_taken(tmp_path: Path, settings: Settings):
    text = "person,time,heart_rate,Name,E-Mail,mood\np1,2026-01-05T08:00:00Z,72,Ann,a@b.c,good\n"
    _, _, batches = read(write(tmp_path, text), settings)
    notes = " ".join(note for batch in batches for note in batch.notes)

    assert "identifying columns were not taken: Name, E-Mail" in notes
    assert "unknown columns were not taken: mood" in notes
    assert "a@b.c" not in notes


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_all_forms_say_the_same(chunk: int, tmp_path: Path, settings: Settings):
    lines = "".join(
        f'{{"person":"p{i}","time":"2026-01-05T08:0{i}:00+01:00","heart_rate":{70 + i},"steps":{i}}}\n'
        for i in range(5)
    )
    table = pa.table(
        {
            "person": pa.array([f"p{i}" for i in range(5)]).dictionary_encode(),
            "time": pa.array([1_767_596_400_000 + 60_000 * i for i in range(5)]).cast(pa.timestamp("ms", "UTC")),
            "utc_offset": pa.array([60] * 5, pa.int16()),
            "heart_rate": pa.array([70 + i for i in range(5)]),
            "steps": pa.array([float(i) for i in range(5)]),
        }
    )
    pq.write_table(table, tmp_path / "readings.parquet")
    csv = "person,time,heart_rate,steps\n" + "".join(
        f"p{i},2026-01-05T08:0{i}:00+01:00,{70 + i},{i}\n" for i in range(5)
    )
    paths = [
        write(tmp_path, csv),
        write(tmp_path, gzip.compress(csv.encode()), "packed.csv.gz"),
        write(tmp_path, lines, "readings.jsonl"),
        tmp_path / "readings.parquet",
    ]
    first, *others = [read(path, settings, chunk_rows=chunk)[0] for path in paths]

    assert 5 == len(first)
    for other in others:
        assert first == other


def test_lines_of_json_are_refused_one_by_one(tmp_path: Path, settings: Settings):
    good = '{"person":"p1","time":"2026-01-05T08:00:00Z","heart_rate":72}\n'
    bad = '{"person":"p1","time":"2026-01-05T08:00:00Z","heart_rate":72,"heart_rate":300}\n'
    rows, refused, batches = read(write(tmp_path, good + bad + good.strip() + good, "a.jsonl"), settings)

    assert 1 == len(rows)
    assert {"duplicate_key": 1, "trailing_data": 1} == refused
    assert ["line 2", "line 3"] == [reject.position for batch in batches for reject in batch.rejects]


@pytest.mark.parametrize(
    ("column", "array", "problem"),
    [
        ("time", pa.array([0]).cast(pa.timestamp("ms")), "no time zone"),
        ("time", pa.array([1_767_596_400]), "is no timestamp"),
        ("person", pa.array([7]), "is not text"),
        ("heart_rate", pa.array([True]), "is of type bool"),
    ],
)
def test_parquet_types_are_not_converted(
    column: str, array: pa.Array, problem: str, tmp_path: Path, settings: Settings
):
    columns = {
        "person": pa.array(["p1"]),
        "time": pa.array([0]).cast(pa.timestamp("ms", "UTC")),
        "heart_rate": pa.array([72.0]),
    }
    pq.write_table(pa.table(columns | {column: array}), tmp_path / "readings.parquet")

    with pytest.raises(SourceError, match=problem):
        read(tmp_path / "readings.parquet", settings)


def test_a_damaged_parquet_file_is_refused_whole(tmp_path: Path, settings: Settings):
    n = 5_000
    table = pa.table({"person": pa.array(["p1"] * n), "time": pa.array(range(n)).cast(pa.timestamp("ms", "UTC")),
                      "heart_rate": pa.array(np.random.default_rng(1).normal(70, 5, n))})  # fmt: skip
    path = tmp_path / "readings.parquet"
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)

    with pytest.raises(SourceError, match="is damaged"):
        read(path, settings)


def test_a_cut_off_archive_is_refused(tmp_path: Path, settings: Settings):
    packed = gzip.compress((HEAD + ROW * 1000).encode())

    with pytest.raises(SourceError, match="damaged or cut-off"):
        read(write(tmp_path, packed[:-20], "readings.csv.gz"), settings, format="table")


def test_profiles_and_events_come_along_without_names(tmp_path: Path, settings: Settings):
    write(tmp_path, HEAD + ROW)
    write(tmp_path, "person,age,sex,name,conditions\n007,44,female,Ann,copd;unicorn\np2,900,x,Bob,\n", "profiles.csv")
    span = '"start":"2026-01-05T08:00:00Z","end":"2026-01-06T08:00:00Z"'
    lines = [
        f'{{"person":"p1","kind":"fever",{span},"magnitude":1.5}}',
        f'{{"person":"p1","kind":"odd_kind",{span}}}',
        '{"person":"p1","kind":"fever","start":"2026-01-05","end":"2026-01-06"}',
    ]
    write(tmp_path, "\n".join(lines), "events.jsonl")
    _, _, batches = read(tmp_path, settings)
    profiles = [profile for batch in batches for profile in batch.profiles]
    events = [event for batch in batches for event in batch.events]
    notes = " ".join(note for batch in batches for note in batch.notes)

    assert [("007", 44.0, "female", ("copd",)), ("p2", True, "unknown", ())] == [
        (one.person, one.age if one.person == "007" else np.isnan(one.age), one.sex, one.conditions) for one in profiles
    ]
    assert [("fever", 1.5), ("odd_kind", True)] == [
        (one.kind, one.magnitude if one.kind == "fever" else np.isnan(one.magnitude)) for one in events
    ]
    assert "identifying columns were not taken: name" in notes
    assert 1 == notes.count("kinds of episode that the schema does not name: odd_kind; they are learnt and judged")
    assert "Ann" not in notes


LABELS = {
    "p1,fever,2026-01-05 08:00,2026-01-06T08:00:00Z,": ("bad_timestamp", "start: "),
    "p1,fever,2026-01-05T08:00:00Z,2026-01-06T08:00:00,": ("timestamp_without_zone", "end: "),
    "p1,fever,2026-01-06T08:00:00Z,2026-01-05T08:00:00Z,": ("impossible_pair", "end is not later than start"),
    "p1,High Fever!,2026-01-05T08:00:00Z,2026-01-06T08:00:00Z,": ("bad_text", "kind is not a name"),
    ",fever,2026-01-05T08:00:00Z,2026-01-06T08:00:00Z,": ("bad_patient_id", "person is missing"),
    "p1,fever,2026-01-05T08:00:00Z,2026-01-06T08:00:00Z,much": ("wrong_type", "magnitude is not a plain number"),
}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_label_that_cannot_be_used_is_refused_with_its_cells_place_and_reason(
    form: str, tmp_path: Path, settings: Settings
):
    write(tmp_path, HEAD + ROW)
    names = ("person", "kind", "start", "end", "magnitude")
    cells = [dict(zip(names, line.split(","), strict=True)) for line in LABELS]
    lines = [",".join(names), *LABELS] if form == "csv" else [json.dumps(one) for one in cells]
    write(tmp_path, "\n".join(lines), f"events.{form}")
    rows, refused, batches = read(tmp_path, settings)
    (found,) = [batch for batch in batches if batch.labels]

    assert (1, {}, 6, []) == (len(rows), refused, found.labels, list(found.events))
    for number, (reject, (reason, detail)) in enumerate(zip(found.refused_labels, LABELS.values(), strict=True)):
        place = f"row {number + 2}" if form == "csv" else f"line {number + 1}"
        assert (place, reason, "event") == (reject.position, reject.reason, reject.form)
        assert reject.detail.startswith(detail)
        assert cells[number] == json.loads(reject.raw)


@pytest.mark.parametrize("damaged", ["[1]\n", '{"person":"p1"\n', '{"a":{"b":1}}x', '{"person":"p1","person":"p2"}'])
def test_a_damaged_small_table_is_named(damaged: str, tmp_path: Path, settings: Settings):
    write(tmp_path, HEAD + ROW)
    write(tmp_path, '{"person":"p1"}\n' + damaged, "profiles.jsonl")

    with pytest.raises(SourceError, match=r"profiles\.jsonl"):
        read(tmp_path, settings)


def test_a_recording_without_local_clock_says_so(tmp_path: Path, settings: Settings):
    _, _, batches = read(write(tmp_path, HEAD + ROW.replace("+01:00", "Z")), settings)

    assert "No local clock is told" in batches[-1].notes[0]


@pytest.mark.parametrize("what", ["nothing", "empty folder", "strange file"])
def test_no_known_format_is_a_clear_error(what: str, tmp_path: Path, settings: Settings):
    path = {"nothing": tmp_path / "none", "empty folder": tmp_path, "strange file": tmp_path / "a.bin"}[what]
    if what == "strange file":
        path.write_bytes(bytes(range(1, 200)))

    with pytest.raises(SourceError) as error:
        read(path, settings)
    assert error.value.hint
