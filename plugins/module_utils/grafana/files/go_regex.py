# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what Go's regular expressions refuse, in the order of Go's regexp/syntax. Pure.

Python's own differ: they have backreferences and look-around, and lack classes such as [:alpha:].
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Unicode's categories and scripts in Go 1.26, in lower case; older releases have fewer.
_UNICODE_NAMES = """
adlam ahom anatolianhieroglyphs any arabic armenian ascii assigned avestan balinese
bamum bassavah batak bengali bhaiksuki bopomofo brahmi braille buginese buhid c
canadianaboriginal carian casedletter caucasianalbanian cc cf chakma cham cherokee
chorasmian closepunctuation cn cntrl co combiningmark common connectorpunctuation
control coptic cs cuneiform currencysymbol cypriot cyprominoan cyrillic
dashpunctuation decimalnumber deseret devanagari digit divesakuru dogra duployan
egyptianhieroglyphs elbasan elymaic enclosingmark ethiopic finalpunctuation format
georgian glagolitic gothic grantha greek gujarati gunjalagondi gurmukhi han hangul
hanifirohingya hanunoo hatran hebrew hiragana imperialaramaic inherited
initialpunctuation inscriptionalpahlavi inscriptionalparthian javanese kaithi kannada
katakana kawi kayahli kharoshthi khitansmallscript khmer khojki khudawadi l lao latin
lc lepcha letter letternumber limbu lineara linearb lineseparator lisu ll lm lo
lowercaseletter lt lu lycian lydian m mahajani makasar malayalam mandaic manichaean
marchen mark masaramgondi mathsymbol mc me medefaidrin meeteimayek mendekikakui
meroiticcursive meroitichieroglyphs miao mn modi modifierletter modifiersymbol
mongolian mro multani myanmar n nabataean nagmundari nandinagari nd newa newtailue nko
nl no nonspacingmark number nushu nyiakengpuachuehmong ogham olchiki oldhungarian
olditalic oldnortharabian oldpermic oldpersian oldsogdian oldsoutharabian oldturkic
olduyghur openpunctuation oriya osage osmanya other otherletter othernumber
otherpunctuation othersymbol p pahawhhmong palmyrene paragraphseparator paucinhau pc
pd pe pf phagspa phoenician pi po privateuse ps psalterpahlavi punct punctuation
rejang runic s samaritan saurashtra sc separator sharada shavian siddham signwriting
sinhala sk sm so sogdian sorasompeng soyombo spaceseparator spacingmark sundanese
surrogate sylotinagri symbol syriac tagalog tagbanwa taile taitham taiviet takri tamil
tangsa tangut telugu thaana thai tibetan tifinagh tirhuta titlecaseletter toto
ugaritic unassigned uppercaseletter vai vithkuqi wancho warangciti yezidi yi z
zanabazarsquare zl zp zs
"""
_UNICODE_CLASSES = frozenset(_UNICODE_NAMES.split())
_POSIX_NAMES = """
alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit
"""
_POSIX = frozenset(_POSIX_NAMES.split())
_PERL_CLASSES = "dDsSwW"
_ASSERTIONS = "AbBz"
_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_COUNT = re.compile(r"\{(0|[1-9]\d*)(,(0|[1-9]\d*)?)?\}", re.ASCII)
_NAME = re.compile(r"\(\?P?<(?![=!])([^>]*)(>?)")
_FLAGS = re.compile(r"\(\?(?:[imsU]*|[imsU]*-[imsU]+)([:)])")
_HEX = re.compile(r"\\x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))")
_OCTAL = re.compile(r"\\(?:0[0-7]{0,2}|[1-7][0-7]{1,2})")
_PROPERTY = re.compile(r"\\[pP](?:\{\^?([^}]*)\}|(.))", re.DOTALL)
_POSIX_CLASS = re.compile(r"\[:(\^?)(.*?):\]", re.DOTALL)
_MOST_REPETITIONS = 1000
_LARGEST_RUNE = 0x10FFFF


class _Refused(Exception):
    """A part of a pattern that Go refuses."""


class _Character(NamedTuple):
    code: int
    end: int


def problem(pattern: str) -> str | None:
    """Return why Go does not compile a pattern, or None."""
    try:
        _Parser(pattern).parse()
    except _Refused as refused:
        return str(refused)
    return None


class _Parser:
    """Reads a pattern once, with a level for each open group.

    A level has the repetitions of its last and of its largest part, None before the first one.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.names: set[str] = set()
        self.levels: list[tuple[int | None, int]] = [(None, 1)]
        self.was_repeated = False

    def parse(self) -> None:
        """Read all parts; raise _Refused for the first one that Go refuses."""
        while self.at < len(self.pattern):
            was_repeated, self.was_repeated = self.was_repeated, False
            self._part(was_repeated)
        if len(self.levels) > 1:
            raise _Refused("a parenthesis is not closed")

    def _part(self, was_repeated: bool) -> None:
        character = self.pattern[self.at]
        if character == "(":
            self._open()
        elif character == ")":
            self._close()
        elif character == "|":
            self.levels[-1] = (None, self.levels[-1][1])
            self.at += 1
        elif character == "[":
            self.at = _class_end(self.pattern, self.at)
            self._push()
        elif character == "\\":
            self._escape()
        elif character in "*+?":
            self.at += 1
            self._repeat(1, character, was_repeated)
        elif character == "{" and _COUNT.match(self.pattern, self.at):
            self._count(was_repeated)
        else:
            self.at += 1
            self._push()

    def _push(self, repetitions: int = 1) -> None:
        self.levels[-1] = (repetitions, max(repetitions, self.levels[-1][1]))

    def _open(self) -> None:
        head = "("
        if self.pattern.startswith("(?", self.at):
            name = _NAME.match(self.pattern, self.at)
            flags = _FLAGS.match(self.pattern, self.at)
            match = name or flags
            if match is None:
                length = 4 if self.pattern.startswith("(?<", self.at) else 3
                head = self.pattern[self.at : self.at + length]
                raise _Refused(f"{head} is missing there")
            head = match[0]
            if name:
                self._add_name(name)
            elif flags and flags[1] == ")":
                # Flags alone are no part.
                self.at += len(head)
                return
        self.at += len(head)
        self.levels.append((None, 1))

    def _add_name(self, match: re.Match[str]) -> None:
        name = match[1]
        if not match[2] or not re.fullmatch(r"\w+", name, re.ASCII):
            raise _Refused(f"{match[0]} is no name of a group")
        if name in self.names:
            raise _Refused(f"two groups have the name {name}")
        self.names.add(name)

    def _close(self) -> None:
        if len(self.levels) == 1:
            raise _Refused("a parenthesis is closed twice")
        _last, largest = self.levels.pop()
        self.at += 1
        self._push(largest)

    def _count(self, was_repeated: bool) -> None:
        match = _COUNT.match(self.pattern, self.at)
        if match is None:
            raise _Refused("a count is no number")
        least, has_range, most = int(match[1]), match[2], match[3]
        largest = int(most) if most else least
        if max(least, largest) > _MOST_REPETITIONS or least > largest:
            raise _Refused(f"{match[0]} cannot be counted")
        self.at = match.end()
        factor = largest if most or not has_range else max(least, 1)
        self._repeat(factor, match[0], was_repeated)

    def _repeat(self, factor: int, operator: str, was_repeated: bool) -> None:
        if self.pattern.startswith("?", self.at):
            self.at += 1
        last, largest = self.levels[-1]
        if was_repeated or last is None:
            raise _Refused(f"{operator} has nothing to repeat")
        if factor > 1 and factor * last > _MOST_REPETITIONS:
            raise _Refused(f"{operator} repeats more than {_MOST_REPETITIONS} times")
        self.was_repeated = True
        self.levels[-1] = (factor * last or 1, max(largest, factor * last))

    def _escape(self) -> None:
        letter = self.pattern[self.at + 1 : self.at + 2]
        if letter == "Q":
            end = self.pattern.find("\\E", self.at)
            literal = self.pattern[self.at + 2 : None if end < 0 else end]
            self.at = len(self.pattern) if end < 0 else end + 2
            if literal:
                self._push()
            return
        if letter and letter in _ASSERTIONS:
            self.at += 2
        else:
            shorthand_end = _shorthand_end(self.pattern, self.at)
            self.at = shorthand_end or _escaped(self.pattern, self.at).end
        self._push()


def _shorthand_end(pattern: str, at: int) -> int | None:
    r"""Return the end of a class such as \d or \pL, None for another character."""
    letter = pattern[at + 1 : at + 2]
    if letter and letter in _PERL_CLASSES:
        return at + 2
    if letter not in ("p", "P"):
        return None
    match = _PROPERTY.match(pattern, at)
    name = match[1] or match[2] or "" if match else ""
    if match is None or re.sub("[_ -]", "", name).lower() not in _UNICODE_CLASSES:
        raise _Refused(f"{match[0] if match else pattern[at:]} is no class")
    return match.end()


def _escaped(pattern: str, at: int) -> _Character:
    """Return the character that an escape stands for."""
    letter = pattern[at + 1 : at + 2]
    if not letter:
        raise _Refused("it ends with a backslash")
    octal, hexadecimal = _OCTAL.match(pattern, at), _HEX.match(pattern, at)
    if octal:
        return _Character(int(octal[0][1:], 8), octal.end())
    if hexadecimal:
        code = int(hexadecimal[1] or hexadecimal[2], 16)
        if code <= _LARGEST_RUNE:
            return _Character(code, hexadecimal.end())
    elif letter in _CONTROLS:
        return _Character(_CONTROLS[letter], at + 2)
    elif letter.isascii() and not letter.isalnum():
        return _Character(ord(letter), at + 2)
    raise _Refused(f"\\{letter} is missing there")


def _class_end(pattern: str, start: int) -> int:
    """Return the end of a class in brackets."""
    at = start + (2 if pattern.startswith("[^", start) else 1)
    first = at
    while at == first or not pattern.startswith("]", at):
        named = _POSIX_CLASS.match(pattern, at)
        if named:
            if named[2] not in _POSIX:
                raise _Refused(f"{named[0]} is no class")
            at = named.end()
            continue
        if pattern.startswith("\\", at):
            shorthand_end = _shorthand_end(pattern, at)
            if shorthand_end:
                at = shorthand_end
                continue
        at = _range_end(pattern, at)
    return at + 1


def _range_end(pattern: str, at: int) -> int:
    """Return the end of a character in brackets, or of a range such as a-z."""
    first = _class_character(pattern, at)
    is_range = pattern.startswith("-", first.end) and first.end + 1 < len(pattern)
    if not is_range or pattern.startswith("]", first.end + 1):
        return first.end
    last = _class_character(pattern, first.end + 1)
    if last.code < first.code:
        raise _Refused(f"the range {pattern[at : last.end]} is empty")
    return last.end


def _class_character(pattern: str, at: int) -> _Character:
    if at >= len(pattern):
        raise _Refused("a bracket is not closed")
    if pattern[at] == "\\":
        return _escaped(pattern, at)
    return _Character(ord(pattern[at]), at + 1)
