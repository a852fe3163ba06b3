"""One application with a small real model for all tests of a module, and one of its own for those that change much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_world import Api
from serving_world import Ward


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, tiny_bundle) -> Iterator[Api]:
    ward = Ward(tmp_path_factory.mktemp("api"), tiny_bundle)
    api = Api(ward.settings, ward.engine)
    yield api
    api.close()
    ward.engine.close()


@pytest.fixture
def own(tmp_path, tiny_bundle) -> Iterator[Api]:
    ward = Ward(tmp_path, tiny_bundle)
    api = Api(ward.settings, ward.engine)
    yield api
    api.close()
    ward.engine.close()


@pytest.fixture
def empty(tmp_path) -> Iterator[Api]:
    """Without any run."""
    ward = Ward(tmp_path, None)
    api = Api(ward.settings, ward.engine)
    yield api
    api.close()
    ward.engine.close()
