"""D10: closed by default: nothing asks a network while it is imported, opened and serves; it binds this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from command_world import Place
from serving_world import RUN
from tiny import ROOT
from vitalwatch.api.app import check_bind
from vitalwatch.errors import SettingsError

# Python tells an audit hook of every connection, datagram and name that is looked up (PEP 578)
WATCHED = """
import sys
asked = []
def hook(event, given):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
                 "socket.gethostbyaddr", "urllib.Request", "http.client.connect", "smtplib.connect", "ftplib.connect"):
        asked.append((event, str(given[-1])))
sys.addaudithook(hook)
"""
IMPORTED = """
import importlib, json, pkgutil
import vitalwatch
names = [one.name for one in pkgutil.walk_packages(vitalwatch.__path__, "vitalwatch.")]
for name in names:
    if ".ui.pages." not in name and not name.endswith("migrations.env"):  # scripts: they run when imported
        importlib.import_module(name)
print(json.dumps([len(names), asked]))
"""
SERVED = """
import asyncio, json
from pathlib import Path
from vitalwatch.api.app import create_app
from vitalwatch.settings import load_settings
settings = load_settings(Path(sys.argv[1]), environment="base", config=Path(sys.argv[2]))
app = create_app(settings, bound=lambda: ["127.0.0.1"])
async def serve():
    async with app.router.lifespan_context(app):
        await asyncio.sleep(2)
    return app.state.desk.engine.run()
run = asyncio.run(serve())
print(json.dumps([run, asked]))
"""


def watched(code: str, *words: str) -> list:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + code, *words],
        capture_output=True, text=True, timeout=300, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_hook_sees_who_asks_a_network():
    code = "import json, socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass\n"

    assert ["socket.getaddrinfo", "socket.connect"] == [one[0] for one in watched(code + "print(json.dumps(asked))")]


@pytest.mark.slow
def test_no_module_asks_a_network_when_it_is_imported():
    modules, asked = watched(IMPORTED)

    assert [] == asked
    assert modules > 200


@pytest.mark.slow
def test_a_server_that_starts_and_runs_asks_no_network(tmp_path, tiny_bundle):
    place = Place(tmp_path)
    place.add_run(RUN, tiny_bundle)

    assert [RUN, []] == watched(SERVED, str(ROOT), str(place.config))


def test_without_a_key_nothing_binds_beyond_this_machine_and_the_refusal_names_the_command():
    check_bind(["127.0.0.1"], has_keys=False)
    with pytest.raises(SettingsError, match=r"main\.py keys") as refused:
        check_bind(["0.0.0.0"], has_keys=False)

    assert "nothing may listen beyond this machine" in str(refused.value)


def test_what_make_starts_listens_on_this_machine():
    told = (ROOT / "Makefile").read_text()
    streamlit = (ROOT / ".streamlit" / "config.toml").read_text()

    assert "ADDRESS ?= 127.0.0.1" in told
    assert 'address = "127.0.0.1"' in streamlit
