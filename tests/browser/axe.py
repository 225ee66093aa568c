"""Looks at a page by Deque's axe-core: what of WCAG 2.2 AA a program can tell."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parent
WCAG_22_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def violations(page: Page, axe: str) -> list[str]:
    """A line for each: the rule, what it wants, and where. Colours that are on the way to others are waited for."""
    page.evaluate("() => Promise.allSettled(document.getAnimations().map(each => each.finished))")
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {axe} }}")
    found: dict[str, Any] = page.evaluate("tags => axe.run({ runOnly: tags, resultTypes: ['violations'] })", WCAG_22_AA)
    return [line(violation) for violation in found["violations"]]


def line(violation: dict[str, Any]) -> str:
    """Of one rule."""
    places = "; ".join(f"{node['html'][:160]} ({node['failureSummary'][:160]})" for node in violation["nodes"][:3])
    return f"{violation['id']}: {violation['help']}: {places}"
