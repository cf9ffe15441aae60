"""GBNF for answers that a program reads: findings as JSON, or as a line that quotes the code.

The grammar goes with the request (`Sampling.grammar`); reading the answer is the feature's. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_FINDINGS = 3  # in one definition; more is noise
NOTHING = "none"
BECAUSE = "` is wrong because it "

_JSON_STRING = r'string ::= "\"" char+ "\""' "\n" r'char ::= [^"\\\x00-\x1f] | "\\" ["\\/bfnrt]'


def literal(text: str) -> str:
    """A GBNF terminal that matches exactly this text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'.replace("\t", "\\t")


def one_of(texts: Sequence[str]) -> str:
    """A GBNF alternative of exact texts, each once."""
    return " | ".join(literal(text) for text in dict.fromkeys(texts))


def json_findings() -> str:
    """`{"findings": [{"quote", "what", "why", "severity", "confidence"}, ...]}`, at most `MAX_FINDINGS` of them.

    The confidence is a whole number of per cent.
    """
    more = "".join('("," ws finding' for _ in range(MAX_FINDINGS - 1)) + ")?" * (MAX_FINDINGS - 1)
    return "\n".join(
        (
            r'root ::= "{" ws "\"findings\":" ws "[" ws (finding ' + more + r')? ws "]" ws "}"',
            r'finding ::= "{" ws "\"quote\":" ws string "," ws "\"what\":" ws string "," ws '
            r'"\"why\":" ws string "," ws '
            r'"\"severity\":" ws ("\"error\"" | "\"warning\"" | "\"hint\"") "," ws "\"confidence\":" ws percent ws "}"',
            r'percent ::= "100" | [1-9] [0-9] | [0-9]',
            _JSON_STRING,
            r"ws ::= [ \n]?",
        )
    )


def quoted_finding(lines: Sequence[str]) -> str:
    """`none`, or one of the lines between backquotes and a sentence that says what is wrong with it."""
    quotes = [line for line in lines if "`" not in line]
    if not quotes:
        return f"root ::= {literal(NOTHING)}"
    return "\n".join(
        (
            f'root ::= {literal(NOTHING)} | "`" quote {literal(BECAUSE)} sentence "\\n"',
            f"quote ::= {one_of(quotes)}",
            r"sentence ::= [a-z] [^\n`]+",  # unbounded: {8,160} took 50 s instead of 5 (Gemma 3 270M)
        )
    )
