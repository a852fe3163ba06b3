"""The REST server's entry: `uvicorn app:app`."""

from pathlib import Path

from vitalwatch.api.app import create_app
from vitalwatch.settings import load_settings

app = create_app(load_settings(Path(__file__).parent))
