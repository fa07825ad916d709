"""`/채팅`: a question, and the model's answer."""

from __future__ import annotations

from contextlib import aclosing

from app.balancing.keyset import OPENAI
from app.commands.attempts import with_attempts
from app.commands.base import PROGRESS_MARK, Answer, JobCommand, JobContext
from app.commands.definition import option, slash
from app.commands.options import text_fault
from app.discord.models import Interaction
from app.discord.splitting import fit
from app.discord.wire import OptionType
from app.errors import ProviderBadAnswer
from app.providers.base import ChatFinish, ChatRequest
from app.texts import Text

LONGEST_QUESTION = 6000

_EMPTY = Text(ko="질문을 입력해 주세요.", en="Please enter a question.")
_TOO_LONG = Text(
    ko="질문이 너무 길어요. {limit:,}자까지 쓸 수 있어요.",
    en="That question is too long: {limit:,} characters at most.",
).format(limit=LONGEST_QUESTION)
_THINKING = Text(ko=PROGRESS_MARK + " 생각하고 있어요…", en=PROGRESS_MARK + " Thinking…")
_WRITING = Text(
    ko=PROGRESS_MARK + " 답을 쓰고 있어요… ({length:,}자)", en=PROGRESS_MARK + " Writing… ({length:,} characters)"
)
_CUT = Text(
    ko="\n\n-# 답이 최대 길이에 닿아 여기서 끊겼어요.", en="\n\n-# The answer reached its maximum length and ends here."
)


def check(interaction: Interaction) -> Text | None:
    """A question has to be there, and short enough."""
    return text_fault(interaction, "질문", LONGEST_QUESTION, empty=_EMPTY, too_long=_TOO_LONG)


async def run(context: JobContext) -> Answer:
    """Ask the model; the user sees how far the answer has come."""
    context.progress.show(_THINKING)
    text = await with_attempts(context, lambda: _ask(context))
    return Answer(fit(text, context.locale), OPENAI)


async def _ask(context: JobContext) -> str:
    services = context.services
    request = ChatRequest(
        prompt=context.interaction.options["질문"],
        system_prompt=services.system_prompt,
        user_ref=services.user_ref(context.interaction.user_id),
    )
    pieces: list[str] = []
    length, finish = 0, None
    async with context.use(OPENAI) as call:
        timeout = min(services.chat_timeout_s, context.seconds_left())
        async with aclosing(services.chat.stream(request, timeout_s=timeout)) as chunks:
            async for chunk in chunks:
                call.heard()
                pieces.append(chunk.text)
                length += len(chunk.text)
                finish = chunk.finish or finish
                if length:
                    context.progress.show(_WRITING.format(length=length))
    text = "".join(pieces).strip()
    if not text:
        raise ProviderBadAnswer("the model's answer is empty", provider=OPENAI)
    return text + _CUT.to(context.locale) if finish is ChatFinish.LENGTH else text


COMMAND = JobCommand(
    slash(
        Text(ko="채팅", en="chat"),
        Text(ko="AI에게 물어봐요", en="Ask the AI"),
        [
            option(
                OptionType.STRING,
                Text(ko="질문", en="question"),
                Text(ko="무엇이 궁금한가요?", en="What would you like to know?"),
                required=True,
                min_length=1,
                max_length=LONGEST_QUESTION,
            )
        ],
    ),
    kind="chat",
    providers=(OPENAI,),
    check=check,
    run=run,
)
