"""The pages on the screen: Streamlit only; what they show is computed in `vitalwatch.ui`."""
