"""docs/performance.md is what the figures in docs/performance.json say."""

from pathlib import Path

from benchmarks.measuring import Row, Table
from benchmarks.report import FOLDER, Results, Run, page, ratio


def run(*figures: float) -> Run:
    """Return a run of one row, with rounds of ours beside one of 10 each."""
    row = Row("C-ECHO", "ms", peers=(("wlmscpfs", "absent"),), aim="≤ 0.5 ×")
    for figure in figures:
        row.add("ours", figure)
        row.add("wlmscpfs", 10)
    return Run("2026-11-28", "c0ffee", "a machine", 0.1, [Table("Echoes", ("ours", "wlmscpfs"), [row], ("÷ best",))])


class TestPage:
    def test_it_is_up_to_date(self) -> None:
        assert (FOLDER / "performance.md").read_text() == page(Results.read(FOLDER))

    def test_a_row_has_medians_and_ratios_with_their_spread(self) -> None:
        text = page(Results(latest={"dicom": run(4, 2, 8)}))
        assert "| C-ECHO, ms | 4.00 | 10.0 | 0.40 (0.20–0.80) | ≤ 0.5 × |" in text

    def test_what_was_before_stands_beside_it_with_its_ratio(self) -> None:
        text = page(Results(latest={"dicom": run(4)}, before={"dicom": run(222)}))
        assert "|  | before | ours | wlmscpfs | ÷ best | aim |" in text
        assert "| C-ECHO, ms | 222 (× 22.2) | 4.00 | 10.0 | 0.40 | ≤ 0.5 × |" in text

    def test_the_results_are_kept_as_they_are(self, tmp_path: Path) -> None:
        results = Results(latest={"dicom": run(4)}, before={"dicom": run(222)})
        results.write(tmp_path)
        assert Results.read(tmp_path) == results


class TestRatios:
    def test_a_round_without_a_figure_has_no_ratio(self) -> None:
        row = Row("C-FIND", "ms", {"ours": [1, None, 3], "other": [2, 2, None]})
        assert row.ratios("ours", ("other",)) == [0.5]

    def test_they_are_taken_to_the_best_of_the_peers(self) -> None:
        figures: dict[str, list[float | None]] = {"ours": [6], "slow": [3], "fast": [2]}
        assert Row("C-FIND", "ms", figures).ratios("ours", ("slow", "fast")) == [3]
        assert Row("C-FIND", "queries/s", figures, more_is_better=True).ratios("ours", ("slow", "fast")) == [2]

    def test_without_any_there_is_nothing_to_tell(self) -> None:
        assert ratio([]) == ""
