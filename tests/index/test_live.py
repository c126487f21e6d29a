"""Which rows are alive."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Corrupt
from service.index.live import decode_live, encode_live, read_live, write_live
from service.index.records import Mask, live_name

MASKS = st.lists(st.booleans(), min_size=1, max_size=70).map(lambda bits: np.array(bits, np.bool_))


@given(MASKS)
def test_a_mask_comes_back_as_it_was(alive: Mask) -> None:
    assert np.array_equal(decode_live(encode_live(alive)), alive)


@given(MASKS)
def test_faiss_reads_the_bits_in_the_same_order(alive: Mask) -> None:
    bits = np.frombuffer(encode_live(alive), np.uint8)[16:].copy()
    selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
    assert [selector.is_member(row) for row in range(len(alive))] == alive.tolist()


@given(MASKS, st.integers(0, 40))
def test_cut_off_files_are_refused(alive: Mask, kept: int) -> None:
    data = encode_live(alive)
    with pytest.raises(ValueError):
        decode_live(data[: min(kept, len(data) - 1)])


def test_a_file_is_verified_before_it_is_believed(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    name = live_name(3, 41, 7)
    stored = write_live(tmp_path, name, np.array([True, False]))
    assert name == "segments/00000003-g41-t7.live"
    assert read_live(tmp_path, stored).tolist() == [True, False]
    (tmp_path / name).write_bytes(encode_live(np.array([True, True])))
    with pytest.raises(Corrupt):
        read_live(tmp_path, stored)
