from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from images.copies.original import Original, read_original
from images.copies.pixels import averaged, display_values, looked_up, picture, windowed
from tests.images.copies.originals import converted, image_with, written

IDENTITY = np.arange(256, dtype=np.float32)
frames = arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)))
widths = st.floats(1, 1e5)
centres = st.floats(-1e5, 1e5)


def read(image: Dataset, folder: Path) -> Original:
    return read_original(written(image, folder / "image.dcm"), ())


def exact_averages(frame: NDArray[Any], rows: int, columns: int) -> list[list[float]]:
    """Average in fractions, each source pixel by the area that it shares with the target pixel."""

    def shares(source: int, target: int, number: int) -> list[Fraction]:
        begin, end = Fraction(number * source, target), Fraction((number + 1) * source, target)
        return [max(min(end, Fraction(at + 1)) - max(begin, Fraction(at)), Fraction(0)) for at in range(source)]

    def average(row: int, column: int) -> float:
        down, across = shares(frame.shape[0], rows, row), shares(frame.shape[1], columns, column)
        whole = sum(
            share_down * share_across * int(frame[y, x])
            for y, share_down in enumerate(down)
            if share_down
            for x, share_across in enumerate(across)
            if share_across
        )
        return float(whole / (sum(down) * sum(across)))

    return [[average(row, column) for column in range(columns)] for row in range(rows)]


class TestTheAverage:
    @given(frames, st.data())
    def test_is_that_of_the_area_to_parts_of_a_pixel(self, frame: NDArray[Any], data: st.DataObject) -> None:
        rows, columns = (data.draw(st.integers(1, length)) for length in frame.shape)
        assert averaged(frame, IDENTITY, rows, columns) == pytest.approx(
            np.array(exact_averages(frame, rows, columns)), abs=1e-3
        )

    @given(frames)
    def test_of_the_same_size_is_the_frame(self, frame: NDArray[Any]) -> None:
        assert np.array_equal(averaged(frame, IDENTITY, *frame.shape), frame)

    def test_is_made_of_what_is_shown_not_of_what_is_stored(self) -> None:
        table = np.array([0, 1, 1], np.float32)
        assert averaged(np.array([[0, 2]]), table, 1, 1).tolist() == [[0.5]]


class TestAWindow:
    @given(centres, widths, st.floats(-1e5, 1e5))
    def test_that_is_linear_follows_c_11_2_1_2_1(self, centre: float, width: float, value: float) -> None:
        if value <= centre - 0.5 - (width - 1) / 2:
            expected = 0.0
        elif value > centre - 0.5 + (width - 1) / 2:
            expected = 1.0
        else:
            expected = (value - (centre - 0.5)) / (width - 1) + 0.5
        shown = np.clip(windowed(np.array([value]), centre, width, "LINEAR"), 0, 1)
        assert shown[0] == pytest.approx(expected, abs=1e-6)

    @given(centres, st.floats(1e-3, 1e5), st.floats(-1e5, 1e5))
    def test_that_is_linear_exact_follows_c_11_2_1_3_2(self, centre: float, width: float, value: float) -> None:
        if value <= centre - width / 2:
            expected = 0.0
        elif value > centre + width / 2:
            expected = 1.0
        else:
            expected = (value - centre) / width + 0.5
        shown = np.clip(windowed(np.array([value]), centre, width, "LINEAR_EXACT"), 0, 1)
        assert shown[0] == pytest.approx(expected, abs=1e-6)

    def test_that_is_a_sigmoid_follows_c_11_2_1_3_1(self) -> None:
        values = np.array([0.0, 1000, 2000, 1e9])
        assert windowed(values, 1000, 500, "SIGMOID") == pytest.approx(1 / (1 + np.exp(-4 * (values - 1000) / 500)))

    @pytest.mark.parametrize(
        "elements",
        [
            {"WindowCenter": [50.5, 3000], "WindowWidth": [101, 10]},
            {"WindowCenter": 101, "WindowWidth": 201, "RescaleSlope": 2, "RescaleIntercept": 0.5},
        ],
    )
    def test_of_several_the_first_is_applied_after_the_rescaling(self, tmp_path: Path, elements: Any) -> None:
        image = image_with(np.array([[0, 50, 99, 150, 4095]], np.uint16), **elements)
        shown = picture(read(image, tmp_path), 400)
        assert shown[0].tolist() == pytest.approx([0, 127, 252, 255, 255], abs=2)

    @pytest.mark.parametrize(("centre", "width"), [(100, 0), ("", ""), (100, "")])
    def test_that_is_none_is_ignored(self, tmp_path: Path, centre: Any, width: Any) -> None:
        image = image_with(np.array([[10, 20]], np.uint16), WindowCenter=centre, WindowWidth=width)
        assert picture(read(image, tmp_path), 400).tolist() == [[0, 255]]


def lut(first: int, data: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(data), first, bits], data
    item["LUTData"].VR = "US"
    return item


class TestALookUpTable:
    def test_maps_what_is_outside_to_its_ends(self) -> None:
        shown = looked_up(np.array([0, 100, 101, 102, 5000]), lut(100, [0, 64, 255], 8))
        assert shown.tolist() == [0, 0, 64 / 255, 1, 1]

    @pytest.mark.parametrize("transfer_syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
    def test_goes_before_a_window(self, tmp_path: Path, transfer_syntax: str) -> None:
        image = image_with(np.array([[0, 100, 101, 4095]], np.uint16), WindowCenter=2000, WindowWidth=4000)
        image.VOILUTSequence = [lut(100, [4095, 0], 12)]
        image.file_meta.TransferSyntaxUID = UID(transfer_syntax)
        assert picture(read(image, tmp_path), 400).tolist() == [[255, 255, 0, 0]]

    @pytest.mark.usefixtures("findscu")
    @pytest.mark.parametrize("vr", ["US", "OW"])
    @pytest.mark.parametrize("option", ["+ti", "+te", "+tb"])
    def test_is_read_in_each_encoding(self, tmp_path: Path, vr: str, option: str) -> None:
        image = image_with(np.array([[100, 101, 102]], np.uint16))
        item = lut(100, [4095, 2048, 0], 12)
        if vr == "OW":
            item.LUTData = np.array(item.LUTData, "<u2").tobytes()
            item["LUTData"].VR = "OW"
        image.VOILUTSequence = [item]
        file = converted(written(image, tmp_path / "image.dcm"), "dcmconv", option)
        assert picture(read_original(file, ()), 400).tolist() == [[255, 128, 0]]

    def test_of_a_signed_image_may_begin_below_nothing(self, tmp_path: Path) -> None:
        image = image_with(np.array([[-100, -2, -1, 0, 100]], np.int16))
        image.VOILUTSequence = [lut(-2, [10, 20, 30], 8)]
        assert picture(read(image, tmp_path), 400).tolist() == [[10, 10, 20, 30, 30]]

    def test_of_the_modality_goes_before_the_window(self, tmp_path: Path) -> None:
        image = image_with(np.array([[0, 1, 2]], np.uint16), WindowCenter=500.5, WindowWidth=1001)
        image.ModalityLUTSequence = [lut(0, [1000, 500, 0], 16)]
        image.ModalityLUTSequence[0].ModalityLUTType = "US"
        assert picture(read(image, tmp_path), 400).tolist() == [[255, 128, 0]]


class TestWithoutAWindow:
    def test_the_values_of_the_image_are_spread(self, tmp_path: Path) -> None:
        frame = np.linspace(1000, 2000, 400).astype(np.uint16).reshape(20, 20)
        shown = picture(read(image_with(frame), tmp_path), 400)
        assert (shown[0, 0], shown[-1, -1]) == (0, 255)
        assert shown[10, 0] == pytest.approx(128, abs=3)

    @pytest.mark.parametrize("elements", [{"PixelPaddingValue": 4095}, {"PixelPaddingRangeLimit": 4095}])
    def test_padding_does_not_count(self, tmp_path: Path, elements: Any) -> None:
        frame = np.linspace(1000, 2000, 400).astype(np.uint16).reshape(20, 20)
        frame[5:] = 4095
        image = image_with(frame, **{"PixelPaddingValue": 4000, **elements})
        shown = picture(read(image, tmp_path), 400)
        assert shown[4, -1] == pytest.approx(255, abs=2)
        assert shown[0, 0] == 0

    def test_a_few_extreme_values_do_not_count(self, tmp_path: Path) -> None:
        frame = np.linspace(1000, 2000, 400).astype(np.uint16).reshape(20, 20)
        frame[0, 0], frame[0, 1] = 0, 4095
        assert picture(read(image_with(frame), tmp_path), 400)[10, 0] == pytest.approx(128, abs=3)

    def test_letters_on_nothing_are_seen(self, tmp_path: Path) -> None:
        frame = np.full((100, 100), 7, np.uint16)
        frame[0, 0] = 8
        assert picture(read(image_with(frame), tmp_path), 400)[0, :2].tolist() == [255, 0]

    def test_one_value_everywhere_is_grey(self, tmp_path: Path) -> None:
        shown = picture(read(image_with(np.full((4, 4), 7, np.uint16)), tmp_path), 400)
        assert len(np.unique(shown)) == 1


class TestStoredValues:
    def test_of_signed_images_are_signed(self, tmp_path: Path) -> None:
        frame = np.array([[-2048, -1024, 0, 1024, 2047]], np.int16)
        shown = picture(read(image_with(frame, WindowCenter=0, WindowWidth=4096), tmp_path), 400)
        assert shown[0].tolist() == pytest.approx([0, 64, 128, 191, 255], abs=1)

    def test_lose_what_stands_in_unused_bits(self, tmp_path: Path) -> None:
        clean = np.array([[0, 1024, 2048, 4095]], np.uint16)
        window = {"WindowCenter": 2048, "WindowWidth": 4096}
        expected = picture(read(image_with(clean, **window), tmp_path), 400)
        assert np.array_equal(picture(read(image_with(clean | 0xA000, **window), tmp_path), 400), expected)
        shifted = image_with((clean << 4 | 0x5).astype(np.uint16), **window, HighBit=15)
        assert np.array_equal(picture(read(shifted, tmp_path), 400), expected)

    def test_of_signed_images_lose_it_too(self, tmp_path: Path) -> None:
        frame = np.array([[-2048, -1, 0, 2047]], np.int16)
        window = {"WindowCenter": 0, "WindowWidth": 4096}
        expected = picture(read(image_with(frame, **window), tmp_path), 400)
        assert np.array_equal(picture(read(image_with(frame & 0x0FFF, **window), tmp_path), 400), expected)

    @pytest.mark.parametrize("bits", [8, 10, 16])
    def test_have_as_many_bits_as_the_image_says(self, tmp_path: Path, bits: int) -> None:
        frame = np.array([[0, (1 << bits) - 1]], np.uint8 if bits == 8 else np.uint16)
        window = {"WindowCenter": 1 << (bits - 1), "WindowWidth": 1 << bits}
        assert picture(read(image_with(frame, bits, **window), tmp_path), 400).tolist() == [[0, 255]]

    @given(st.integers(2, 16), st.booleans())
    def test_each_have_a_place_in_the_table(self, bits: int, is_signed: bool) -> None:
        header = Dataset()
        header.WindowCenter, header.WindowWidth = 0, 1 << bits
        table = display_values(Original(header, (header,), np.zeros((1, 1), np.uint16), bits, is_signed))
        assert len(table) == 1 << bits
        assert table[-1] == (pytest.approx(0.5, abs=0.3) if is_signed else 1)


class TestTheSize:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ((2294, 1914), (400, 334)),
            ((1914, 2294), (334, 400)),
            ((401, 399), (400, 398)),
            ((300, 200), (300, 200)),
            ((5000, 3), (400, 1)),
            ((1, 1), (1, 1)),
        ],
    )
    def test_keeps_the_aspect_ratio_and_is_never_enlarged(
        self, tmp_path: Path, before: tuple[int, int], after: tuple[int, int]
    ) -> None:
        assert picture(read(image_with(np.zeros(before, np.uint16)), tmp_path), 400).shape == after
