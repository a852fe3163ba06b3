"""The web page: what each page shows is computed here without Streamlit; `pages` puts it on the screen."""
