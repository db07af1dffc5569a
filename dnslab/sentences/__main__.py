"""``python -m dnslab.sentences``: print every sentence that dnslab can say, with example values."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import dnslab.sentences
from dnslab.sentences import Sentence
from dnslab.text import echo


def all_sentences() -> Iterator[tuple[str, str, Sentence]]:
    """Module, name and sentence, in the order in which they stand; a sentence of a text by ``TEXT.field``."""
    for found in pkgutil.iter_modules(dnslab.sentences.__path__):
        if found.name != "__main__":
            module = importlib.import_module(f"dnslab.sentences.{found.name}")
            for name, value in vars(module).items():
                if isinstance(value, Sentence):
                    yield found.name, name, value
                elif dataclasses.is_dataclass(value) and not isinstance(value, type):
                    for field in dataclasses.fields(value):
                        yield found.name, f"{name}.{field.name}", getattr(value, field.name)


if __name__ == "__main__":
    for module_name, name, sentence in all_sentences():
        echo(f"{module_name}.{name}: {sentence.example}")
