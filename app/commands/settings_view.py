"""What `/설정` shows: each choice, what it comes to, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.commands.formatting import shortened
from app.commands.image import DEFAULT_RATIO, RATIOS, STYLES
from app.texts import Locale, Text
from app.userdata.preferences import NO_PREFERENCES, Preferences

PERSONA_SHOWN = 160

LANGUAGES = {"ko": Text(ko="한국어", en="Korean"), "en": Text(ko="영어", en="English")}
NAMES = {
    "model": Text(ko="모델", en="model"),
    "persona": Text(ko="말투", en="persona"),
    "language": Text(ko="언어", en="language"),
    "ratio": Text(ko="비율", en="ratio"),
    "style": Text(ko="스타일", en="style"),
    "private": Text(ko="비공개", en="private"),
}
"""Every choice there is, in the order of `Preferences`, by the name of its option."""

_LINE = Text(ko="· **{name}**: {value} — {source}", en="· **{name}**: {value} — {source}")
_MINE = Text(ko="내 설정", en="yours")
_SERVER = Text(ko="서버 기본값", en="this server's default")
_BOT = Text(ko="봇 기본값", en="the bot's default")
_GONE = Text(
    ko="⚠️ 저장된 {name} `{value}`은(는) 이제 고를 수 없어 쓰지 않아요. 새로 고르거나 `/설정 초기화`로 지워 주세요.",
    en="⚠️ The saved {name} `{value}` is no longer offered and is ignored. Choose another, or clear it with "
    "`/settings reset`.",
)
_NONE = Text(ko="없음", en="none")
_YES = Text(ko="나에게만 보이게 답해요", en="only you see answers")
_NO = Text(ko="모두에게 보이게 답해요", en="everybody sees answers")
_DISCORDS = Text(ko="Discord의 언어를 따라요", en="Discord's language")
_UNKNOWN = Text(ko="운영자가 정한 모델", en="the operator's model")


@dataclass(frozen=True, slots=True)
class Layers:
    """What was chosen on each level, and the models there are now, the bot's default first."""

    mine: Preferences
    server: Preferences
    models: Sequence[str]

    def of(self, field: str) -> tuple[Any, Text]:
        """Return what was chosen, and who did; None if nobody did."""
        for preferences, source in ((self.mine, _MINE), (self.server, _SERVER)):
            if (value := getattr(preferences, field)) is not None:
                return value, source
        return None, _BOT

    def offered(self, field: str, value: object) -> bool:
        """Whether a saved value can still be used."""
        among = {"model": self.models, "ratio": RATIOS, "style": STYLES, "language": LANGUAGES}.get(field)
        return among is None or value in among


def lines(layers: Layers, locale: Locale) -> Iterator[str]:
    """Yield a line for each choice, then one for each that is not offered any more."""
    gone = []
    for field, name in NAMES.items():
        value, source = layers.of(field)
        if value is not None and not layers.offered(field, value):
            gone.append(_GONE.format(name=name.to(locale), value=str(value).replace("`", "'")[:100]))
            value, source = None, _BOT
        shown = _shown(field, value, layers).to(locale)
        yield _LINE.format(name=name.to(locale), value=shown, source=source.to(locale)).to(locale)
    yield from (text.to(locale) for text in gone)


def server_layers(server: Preferences, models: Sequence[str]) -> Layers:
    """Return the layers as they are for a member who chose nothing."""
    return Layers(NO_PREFERENCES, server, models)


def _shown(field: str, value: Any, layers: Layers) -> Text:
    match field:
        case "model":
            named = value or next(iter(layers.models), None)
            return _same(f"`{named}`") if named else _UNKNOWN
        case "persona":
            return _same(f"“{shortened(value, PERSONA_SHOWN)}”") if value else _NONE
        case "language":
            return LANGUAGES[value] if value else _DISCORDS
        case "ratio":
            return RATIOS[value or DEFAULT_RATIO]
        case "style":
            return STYLES[value] if value else _NONE
    return _YES if value else _NO


def _same(text: str) -> Text:
    return Text(ko=text, en=text)
