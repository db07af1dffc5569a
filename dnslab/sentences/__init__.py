"""All that dnslab can say, one module for each subject: read them to read every sentence.

A sentence is a template with example values, so that each can be rendered without a run. What a sentence says is
decided elsewhere; numbers come here as text that is rounded already.
"""

from __future__ import annotations

from string import Formatter


class Sentence:
    """A sentence with gaps: ``Sentence("{n} failed.", n="2 lookups")`` is filled in by ``sentence(n="1 lookup")``.

    Parameters
    ----------
    template
        As for ``str.format``, by name.
    example
        A value for each gap, as it may stand in a real report.

    Raises
    ------
    TypeError
        An example, or a call, has not exactly the values that the template names.
    """

    def __init__(self, template: str, **example: str) -> None:
        self.template = template
        self._gaps = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        self.example = self(**example)

    def __call__(self, **values: str) -> str:
        if values.keys() != self._gaps:
            raise TypeError(f"{self.template!r} takes {sorted(self._gaps)}, not {sorted(values)}")
        return self.template.format(**values)

    def __str__(self) -> str:
        """A sentence without gaps is its own text."""
        return self()
