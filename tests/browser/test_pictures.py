"""The pictures of the documents are there; `make screenshots` takes them, and `make benchmark` draws two."""

from tests.browser.pictures import FOLDER, NAMES

DRAWN = {"performance-dicom", "performance-images", "performance-relay"}


def test_there_is_a_picture_of_each_page_in_both_widths_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*")} - DRAWN == {
        f"{name}{suffix}" for name in NAMES for suffix in ("", "-phone")
    }
