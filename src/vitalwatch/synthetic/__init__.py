"""Synthetic people: one person from one seed, with labelled episodes that are in the signals."""

from vitalwatch.synthetic.people import Identity, identity
from vitalwatch.synthetic.simulation import SyntheticPerson, person
from vitalwatch.synthetic.writer import write_recording

__all__ = ["Identity", "SyntheticPerson", "identity", "person", "write_recording"]
