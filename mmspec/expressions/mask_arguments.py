"""The arguments of a pattern, as they are read."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NoReturn

from mmspec.expressions import quantity
from mmspec.expressions.mask_patterns import AXES, PATTERNS, Parameter, usage
from mmspec.expressions.scanner import Scanner, Token, did_you_mean

Value = int | str | Fraction
LIMIT: Final = 2**31


class Call:
    """Reads the arguments of one pattern, from after its name to its closing parenthesis."""

    def __init__(self, scanner: Scanner, name: Token) -> None:
        self.scanner, self.name = scanner, name
        self.signature = PATTERNS[name.text].parameters
        self.given: dict[str, Value] = {}
        self.by_place = 0

    def arguments(self) -> tuple[tuple[str, Value], ...]:
        """All arguments, defaults included, in the signature's order."""
        if self.scanner.accept("(") and not self.scanner.accept(")"):
            self._argument()
            while not self.scanner.accept(")"):
                if not self.scanner.accept(","):
                    self._syntax(f"expected `,` or `)`{self.scanner.found()}")
                self._argument()
        self._check_window()
        values: dict[str, Value] = {
            p.name: p.default for p in self.signature if p.default is not None
        }
        values |= self.given
        missing = [p.name for p in self.signature if p.name not in values]
        if missing:
            self._fail(f"{self.name.text} needs `{'`, `'.join(missing)}`", self.name)
        return tuple((p.name, values[p.name]) for p in self.signature)

    def _argument(self) -> None:
        scanner = self.scanner
        named = scanner.next.kind == "name" and scanner.after.text == "="
        parameter = self._by_name() if named else self._by_place()
        self.given[parameter.name] = self._value(parameter)

    def _by_name(self) -> Parameter:
        token = self.scanner.take()
        self.scanner.take()
        for parameter in self.signature:
            if parameter.name == token.text and token.text in self.given:
                self._fail(f"`{token.text}` is given twice", token)
            if parameter.name == token.text:
                return parameter
        self._fail(f"{self.name.text} has no argument `{token.text}`", token)

    def _by_place(self) -> Parameter:
        if len(self.given) > self.by_place:
            self._fail("an argument without a name follows a named one")
        if self.by_place == len(self.signature):
            count = len(self.signature) or "no"
            self._fail(f"{self.name.text} takes {count} argument{'s' * (count != 1)}")
        self.by_place += 1
        return self.signature[self.by_place - 1]

    def _value(self, parameter: Parameter) -> Value:
        if parameter.kind == "duration":
            found = quantity.take(self.scanner, quantity.DURATIONS)
            return found.value * quantity.DURATIONS[found.unit]
        return self._size(parameter) if parameter.kind == "size" else self._axis()

    def _size(self, parameter: Parameter) -> int:
        first = self.scanner.next
        sign = -1 if self.scanner.accept("-") else 1
        what = f"a whole number for `{parameter.name}` of {self.name.text}"
        value = sign * self.scanner.whole(what, f"write {usage(self.name.text)}")
        if value >= LIMIT:
            self._fail(f"`{parameter.name}` of {self.name.text} is below 2**31", first)
        if value < parameter.least:
            self._fail(
                f"`{parameter.name}` of {self.name.text} is at least {parameter.least}", first
            )
        return value

    def _axis(self) -> str:
        token = self.scanner.name("an axis", f"axes: {', '.join(AXES)}")
        if token.text not in AXES:
            advice = did_you_mean(token.text, AXES, "axes")
            self.scanner.fail(f"`{token.text}` is no axis", advice, token, "MM222")
        return token.text

    def _check_window(self) -> None:
        """A window says what it means: conventions for a single number differ."""
        if self.name.text != "window":
            return
        if not self.given:
            self._fail("window needs `before` or `after`", self.name)
        if self.by_place == 1:
            size = self.given["before"]
            assert isinstance(size, int)
            advice = (
                f"write window(before={max(size - 1, 0)}) for the last {max(size, 1)} keys, "
                f"window(before={size}, after={size}) for both sides"
            )
            message = f"window({size}) could mean {size}, {size + 1} or {2 * size + 1} keys"
            self.scanner.fail(message, advice, self.name, "MM222")

    def _syntax(self, message: str) -> NoReturn:
        self.scanner.fail(message, f"write {usage(self.name.text)}")

    def _fail(self, message: str, token: Token | None = None) -> NoReturn:
        self.scanner.fail(message, f"write {usage(self.name.text)}", token, "MM222")
