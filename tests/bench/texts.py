"""Texts for benchmarks: always the same, all different."""

import random

_WORDS = """
the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you
were all her she there would their we him been has when who will no more if out so up said what its harbour vessel
ledger segment checkpoint document chapter treaty molecule winter engineer parliament orchestra temperature catalogue
migration velocity manuscript philosophy agriculture instrument
"""


def sample_texts(count: int, words: int) -> list[str]:
    """`count` texts of about `words` words, each word about 1.1 tokens of a BERT."""
    draw = random.Random(7)
    vocabulary = _WORDS.split()
    sizes = (max(1, round(words * draw.uniform(0.8, 1.05))) for _ in range(count))
    return [" ".join(draw.choices(vocabulary, k=size)) + "." for size in sizes]
