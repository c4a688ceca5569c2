"""BM25 over short texts: which items hold the words of a query, and how well they match.

Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond", Foundations and Trends in Information
Retrieval 2009, equation 3.15, with idf = log(1 + (N − n + 0.5) / (n + 0.5)), which is never negative. Words are runs of
letters and digits, case folded; the last word of a query also matches words that begin with it, as people type.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64

K1, B = 1.2, 0.75
"""Saturation and length, at their usual values (ibid., section 3.5)."""
MOST_WORDS = 32
"""Of a query: what is longer is cut."""
MOST_BEGUN = 50
"""Words that the last one of a query may stand for."""
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Its words.

    >>> words_of("Oak table, 4-seat")
    ['oak', 'table', '4', 'seat']
    """
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class WordIndex:
    """Per word, the texts that hold it and what it is worth there. Memory: 8 bytes for each word of each text."""

    words: list[str]
    """In ascending order."""
    starts: Int64[np.ndarray, " words_and_end"]
    rows: Int32[np.ndarray, " postings"]
    weights: Float32[np.ndarray, " postings"]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "WordIndex":
        """The index of these texts, by row."""
        split = [words_of(text) for text in texts]
        lengths = np.array([len(words) for words in split], np.float64)
        vocabulary = {word: at for at, word in enumerate(sorted({word for words in split for word in words}))}
        row = np.repeat(np.arange(len(split)), lengths.astype(np.int64))
        word = np.array([vocabulary[word] for words in split for word in words], np.int64)
        pairs, counts = np.unique(word * max(1, len(split)) + row, return_counts=True)
        word, row = np.divmod(pairs, max(1, len(split)))
        n_with = np.bincount(word, minlength=len(vocabulary))
        idf = np.log1p((len(split) - n_with + 0.5) / (n_with + 0.5))
        length = K1 * (1 - B + B * lengths[row] / max(lengths.mean() if len(lengths) else 1.0, 1e-9))
        weights = idf[word] * counts * (K1 + 1) / (counts + length)
        starts = np.concatenate([[0], np.cumsum(n_with)]).astype(np.int64)
        return cls(list(vocabulary), starts, row.astype(np.int32), weights.astype(np.float32))

    def matches(self, query: str) -> tuple[Int64[np.ndarray, " found"], Float32[np.ndarray, " found"]]:
        """Rows that hold at least one word of the query, ascending, and their scores."""
        asked = words_of(query)[:MOST_WORDS]
        parts = [self._postings(word) for word in asked[:-1]]
        parts += [self._best(self._begun(asked[-1]))] if asked else []
        rows = np.concatenate([rows for rows, _ in parts]) if parts else np.empty(0, np.int32)
        if not len(rows):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        found, place = np.unique(rows, return_inverse=True)
        return found.astype(np.int64), np.bincount(place, np.concatenate([w for _, w in parts])).astype(np.float32)

    def _postings(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        at = bisect_left(self.words, word)
        is_known = at < len(self.words) and self.words[at] == word
        some = slice(self.starts[at], self.starts[at + 1]) if is_known else slice(0, 0)
        return self.rows[some], self.weights[some]

    def _begun(self, start: str) -> list[str]:
        """The words that begin so, the word itself first."""
        at = bisect_left(self.words, start)
        found = []
        while at < len(self.words) and self.words[at].startswith(start) and len(found) < MOST_BEGUN:
            found.append(self.words[at])
            at += 1
        return found

    def _best(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Of words that stand for one, each text counts the best."""
        parts = [self._postings(word) for word in words]
        if not parts:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        rows, place = np.unique(np.concatenate([rows for rows, _ in parts]), return_inverse=True)
        best = np.zeros(len(rows), np.float32)
        np.maximum.at(best, place, np.concatenate([weights for _, weights in parts]))
        return rows, best
