"""The web page's entry: `streamlit run streamlit_app.py` (or `make ui`)."""

from pathlib import Path

from vitalwatch.ui.pages.shell import run

run(Path(__file__).parent)
