"""Names of classes and files, which others have chosen: what none of them may hold.

They come out in terminals, CSV, JSON, labels.txt and, through `dvc plots`, in HTML that does not escape them.
"""

import re
import unicodedata

LONGEST = 200  # letters of a class; file systems limit those of a file
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's control and format characters, surrogates, ends of lines
_MARKS = "\u200c\u200d\u200e\u200f"  # Persian, Indic words and emoji need the first two; phones write the last two
_MARKUP = "<>"
_ANGLES = str.maketrans("<>", "‹›")  # look the same, and mean nothing to a browser
_HTML = re.compile(r"<[/!?]|<\w[^>]*=")  # the end of a tag, or one with attributes: nobody calls a class so
_SIGNS = "[=+@＝＋＠－-]"  # a cell that begins with one is a formula to a spreadsheet; Asian keyboards write them wide
_HARMFUL = r"""(\w\(|\w\s+\(["']|[|!])"""  # a function, the | of a command or the ! of another file's cells
# A spreadsheet in Portuguese begins a cell behind a semicolon, too.
_FORMULA = re.compile(f"^{_SIGNS}.*{_HARMFUL}|;{_SIGNS}[^;]*{_HARMFUL}")
_SIGN = re.compile(f"(^|;){_SIGNS}")
_CELL = re.compile(rf"'*(\s*{_SIGNS}|[\t\r\n])")  # that is not left as it is


def fault(name: str) -> str:
    """Why nothing may have a name, to be read behind `it`; empty where it may."""
    if letter := unfit(name):
        if unicodedata.category(letter) == "Cs":  # stands for a byte
            return "is not UTF-8"
        return f"holds {letter}" if letter in _MARKUP else f"holds the invisible character U+{ord(letter):04X}"
    return "is a formula to a spreadsheet" if _FORMULA.search(name) else ""


def unfit(name: str) -> str:
    """The first letter that no name may hold; empty where there is none."""
    if name.isprintable() and not any(letter in name for letter in _MARKUP):
        return ""
    return next((letter for letter in name if letter in _MARKUP or _steers(letter)), "")


def fitted(name: str) -> str:
    """A name with ‹ and › for < and >, where these are no HTML: `box <round>` is meant as a name.

    One that is too long for a class stays as it is, and is not searched: that takes its length squared.
    """
    return name if len(name) > LONGEST or _HTML.search(name) else name.translate(_ANGLES)


def without_formula(name: str) -> str:
    """A name with _ for the signs that make it a formula, where it is one."""
    return _SIGN.sub(r"\1_", name) if _FORMULA.search(name) else name


def cell(text: str) -> str:
    """A text for a CSV that people open in a spreadsheet: behind a ', where it would not be taken for text."""
    return f"'{text}" if _CELL.match(text) else text


def from_cell(text: str) -> str:
    """The text that `cell` was given."""
    return text[1:] if text.startswith("'") and _CELL.match(text) else text


def _steers(letter: str) -> bool:
    return letter not in _MARKS and unicodedata.category(letter) in _STEERING
