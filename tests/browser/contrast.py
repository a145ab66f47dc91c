"""How well the text of a page can be read, as WCAG 2.2 measures it (1.4.3 wants 4.5)."""

from __future__ import annotations

from playwright.sync_api import Page

CONTRASTS = """selector => {
    const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true })
    const painted = color => {
        brush.clearRect(0, 0, 1, 1)
        brush.fillStyle = color
        brush.fillRect(0, 0, 1, 1)
        return [...brush.getImageData(0, 0, 1, 1).data]
    }
    const light = ([red, green, blue]) => [red, green, blue]
        .map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0.05)
    const behind = node => {
        for (; node; node = node.parentElement) {
            const paper = painted(getComputedStyle(node).backgroundColor)
            if (paper[3] == 255) return paper
        }
        const sheet = document.body.appendChild(document.createElement("div"))
        sheet.style.background = "Canvas"
        const paper = painted(getComputedStyle(sheet).backgroundColor)
        sheet.remove()
        return paper
    }
    const speaks = node => [...node.childNodes].some(part => part.nodeType == Node.TEXT_NODE && part.data.trim())
    return [...document.querySelectorAll(selector)].filter(node => node.checkVisibility() && speaks(node)).map(node => {
        const [ink, paper] = [light(painted(getComputedStyle(node).color)), light(behind(node))]
        return [node.textContent.trim(), Math.max(ink, paper) / Math.min(ink, paper)]
    })
}"""


def contrasts(page: Page, selector: str = "body *") -> dict[str, float]:
    """Of each text that is seen, by what it says: its colour against the nearest background."""
    found: list[tuple[str, float]] = page.evaluate(CONTRASTS, selector)
    return dict(found)
