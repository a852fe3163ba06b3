"""How answers are judged: episodes and false alarms, ranking, regression, and bootstrap intervals by person.

Point adjustment is used nowhere: it gives random noise an F1 of 0.9 (see `ranking` for what is used instead).
"""
