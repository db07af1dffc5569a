"""How often a diagnosis is right: faults of known truth, injected, diagnosed and counted.

``python -m bench.confusion > docs/diagnosis.md`` records what is missing and prints the page. Each case is a whole
diagnosis in a lab of its own. The truth of a case stays here: the ladder and the engine never see it.
"""
