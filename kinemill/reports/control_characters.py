"""Show control characters in names and texts of users as escapes.

A right-to-left override displays a name in another order; an escape code rewrites a terminal.
"""

import re

# Control characters, soft hyphen, marks of width and direction, line separators, tags. Written as
# escapes: ZWJ is among them, which some scripts need, and which stays readable as an escape.
_HIDDEN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_IN_TEXT = re.compile(f"[{_HIDDEN}]")
_IN_LINE = re.compile(rf"[\t\n\r{_HIDDEN}]")
_IN_PAGE = re.compile(f"<[^>]*>|[{_HIDDEN}]")


def escape_controls(text: str, *, lines: bool = False) -> str:
    r"""Return a text with control characters as escapes, such as `\u202e`.

    Args:
        text: a name, or a text of several lines.
        lines: keep line breaks and tabs.
    """
    return (_IN_TEXT if lines else _IN_LINE).sub(lambda match: _escape(match[0]), text)


def escape_page(page: str) -> str:
    """Return an HTML page with control characters as escapes in its text.

    Attributes keep them, as character references: forms send their values.
    """
    if not _IN_TEXT.search(page):
        return page

    def escaped(match: re.Match[str]) -> str:
        if match[0].startswith("<"):
            return _IN_TEXT.sub(lambda hidden: f"&#{ord(hidden[0])};", match[0])
        return _escape(match[0])

    return _IN_PAGE.sub(escaped, page)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
