"""Every error the product raises.

QuartetError
├── SettingsError            the environment is wrong; lists every fault by variable name
├── DayExhausted            every instance has done its day's limit of this kind
├── AttachmentError
│   ├── AttachmentUnavailable    a user's file could not be fetched
│   └── AttachmentRefused        a user's file is not what can be taken
├── StoreError
│   ├── StoreUnavailable     the store can't be written or read now
│   ├── LeaseLost            somebody else works on this job now: change nothing any more
│   └── BackupUnusable       a backup could not be made, or can't be restored; nothing was changed
├── DiscordError
│   ├── DiscordUnavailable   Discord could not be reached before the deadline
│   ├── AnswerGone           the message or its token is gone: nobody can be answered here
│   ├── AnswerRejected       Discord refuses this content (400, 413): send something simpler
│   └── DeliveryUnknown      nobody knows whether Discord took a message: it is not posted again
└── ProviderError
    ├── ProviderRateLimited      429: the key has to rest
    ├── ProviderQuotaExhausted   out of credit or plan: resting does not help soon
    ├── ProviderKeyRejected      401/403: the key is not accepted
    ├── ProviderRefused          the provider's content policy says no
    │   └── PromptFlagged            the moderation says no before anything is asked
    ├── ModerationUnavailable    nobody could look at what must not go unseen
    ├── ProviderBadInput         the provider can't take this request as it is
    ├── ProviderTimeout          no complete answer in time
    ├── ProviderUnavailable      5xx, overload or network
    │   └── ProviderNotReached   no connection came about: nothing was sent, nothing can have cost
    ├── ProviderBadAnswer        an answer that can't be understood
    ├── PictureTooLarge          finished, but larger than what may be attached there
    ├── VideoTaskFailed          the provider took the task and gave up on it
    ├── VideoUnknown             nobody knows whether a costly task was made: never made again on its own
    └── NoKeyAvailable           no key of this instance may be used now

Each class says whether trying again may help (`retryable`) and what a Discord user is told (`sentence`): what happened,
whether it cost anything, what to do. What is not known to be free is said to have cost something, perhaps.
The exception's own message is for the operator's log; it never holds a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from app.texts import Text


class QuartetError(Exception):
    """Something went wrong inside Quartet."""

    retryable: ClassVar[bool] = False
    sentence: Text = Text(
        ko="내부 오류가 생겨 답하지 못했고, 비용이 들었는지는 확실하지 않아요. 잠시 뒤 다시 시도해 주세요.",
        en="Something went wrong on our side, so there is no answer, and whether it cost anything is not certain. "
        "Please try again in a moment.",
    )


class SettingsError(QuartetError):
    """The configuration is wrong; `faults` has one line for each fault, starting with the variable's name."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = list(faults)


class DayExhausted(QuartetError):
    """Every instance has done the operator's daily limit of this kind of job."""

    sentence = Text(
        ko="이 기능은 오늘 쓸 수 있는 만큼 모두 써서, 비용 없이 거절했어요. 내일 다시 시도해 주세요.",
        en="This feature is used up for today, and this cost nothing. Please try again tomorrow.",
    )


class AttachmentError(QuartetError):
    """A file that a user attached can't be used. Found out before any provider is asked, so it costs nothing."""

    sentence = Text(
        ko="첨부한 파일을 쓸 수 없었고, 비용은 들지 않았어요. 다른 파일로 다시 시도해 주세요.",
        en="Your attached file could not be used, and this cost nothing. Please try again with another file.",
    )


class AttachmentUnavailable(AttachmentError):
    """The file could not be fetched from Discord: gone, cut off, too large, or at an address not Discord's."""

    sentence = Text(
        ko="첨부한 파일을 Discord에서 가져오지 못했고, 비용은 들지 않았어요. 파일을 다시 첨부해 주세요.",
        en="Your attached file could not be fetched from Discord, and this cost nothing. Please attach it again.",
    )


class AttachmentRefused(AttachmentError):
    """The file's bytes are not what can be taken; `sentence` says which file, and what is."""

    def __init__(self, message: str, sentence: Text) -> None:
        super().__init__(message)
        self.sentence = sentence


class StoreError(QuartetError):
    """The store did not do what was asked."""


class StoreUnavailable(StoreError):
    """The store can't be written or read now."""

    retryable = True
    sentence = Text(
        ko="지금은 요청을 안전하게 기록할 수 없어 받지 않았고, 비용은 들지 않았어요. 잠시 뒤 다시 시도해 주세요.",
        en="Your request could not be recorded safely, so it was not accepted and cost nothing. Please try again soon.",
    )


class LeaseLost(StoreError):
    """The lease on this job has gone to somebody else: whoever holds this error changes nothing any more."""


class BackupUnusable(StoreError):
    """A backup could not be made, or is none that can be restored here. Nothing was changed."""


class DiscordError(QuartetError):
    """Discord did not take what was sent."""


class DiscordUnavailable(DiscordError):
    """Discord could not be reached, or kept failing, until the deadline."""

    retryable = True


class AnswerGone(DiscordError):
    """The message was deleted (10008), or its token is no longer valid (50027): final at once."""


class AnswerRejected(DiscordError):
    """Discord refuses this content as it is (400, 413): something simpler may pass."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class DeliveryUnknown(DiscordError):
    """A message was posted and Discord's answer got lost: it may stand there already, so it is not posted again."""


class ProviderError(QuartetError):
    """A provider call failed. `retry_after`, where known, is in seconds.

    `irreplaceable` says that no other provider can do what was asked: only another key of the same one can.
    """

    irreplaceable: bool = False

    sentence = Text(
        ko="AI 서비스에서 오류가 나 답하지 못했고, 비용이 조금 들었을 수 있어요. 잠시 뒤 다시 시도해 주세요.",
        en="The AI service failed, so there is no answer, though it may have cost a little. Please try again in a "
        "moment.",
    )

    def __init__(self, message: str, *, provider: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.provider = provider
        self.retry_after = retry_after


class ProviderRateLimited(ProviderError):
    """429 or its kin: the key has to rest for `retry_after` seconds, if the provider said so."""

    retryable = True
    sentence = Text(
        ko="지금 AI 서비스의 사용 한도에 닿아 답하지 못했고, 거절된 호출에는 비용이 들지 않아요. 1분쯤 뒤 다시 "
        "시도해 주세요.",
        en="The AI service's rate limit is reached, so there is no answer; a call it refuses costs nothing. "
        "Please try again in a minute.",
    )


class ProviderQuotaExhausted(ProviderError):
    """Out of credit, plan or daily quota: trying again soon does not help."""

    sentence = Text(
        ko="이 기능에 쓸 수 있는 사용량이 모두 소진돼 답하지 못했고, 거절된 호출에는 비용이 들지 않아요. "
        "운영자에게 알려 주세요.",
        en="The quota for this feature is used up, so there is no answer; a call it refuses costs nothing. Please "
        "tell the people who run this bot.",
    )


class ProviderKeyRejected(ProviderError):
    """The provider does not accept this key (401, 403)."""

    sentence = Text(
        ko="AI 서비스 연결 설정에 문제가 있어 답하지 못했고, 거절된 호출에는 비용이 들지 않아요. 운영자에게 알려 "
        "주세요.",
        en="This bot's connection to the AI service is misconfigured, so there is no answer; a call it refuses "
        "costs nothing. Please tell the people who run this bot.",
    )


class ProviderRefused(ProviderError):
    """The provider's content policy refuses the request or withholds the result."""

    sentence = Text(
        ko="AI 서비스의 안전 정책에 따라 거절된 요청이고, 비용이 조금 들었을 수 있어요. 표현을 바꿔 다시 시도해 "
        "주세요.",
        en="The AI service's safety policy refused this request, which may have cost a little. Please rephrase it "
        "and try again.",
    )


class PromptFlagged(ProviderRefused):
    """The operator's moderation refuses what was asked, before it costs anything; `sentence` names the category."""

    sentence = Text(
        ko="운영자가 켜 둔 안전 검사에서 거절했고, 비용은 들지 않았어요. 내용을 바꿔 다시 시도해 주세요.",
        en="The safety check the operator has turned on refused this, which cost nothing. Please change it and try "
        "again.",
    )

    def __init__(
        self, message: str, sentence: Text | None = None, *, provider: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, provider=provider, retry_after=retry_after)
        self.sentence = sentence or self.sentence


class ModerationUnavailable(ProviderError):
    """The moderation could not be asked about something that is not made unseen."""

    sentence = Text(
        ko="안전 검사를 할 수 없어서 만들지 않았고, 비용은 들지 않았어요. 잠시 뒤 다시 시도해 주세요.",
        en="The safety check could not be made, so this was not made either and cost nothing. Please try again in a "
        "moment.",
    )


class ProviderBadInput(ProviderError):
    """The provider can't take the request as it is: too long, an unknown model, a bad parameter."""

    sentence = Text(
        ko="AI 서비스가 이 요청을 처리할 수 없다고 했고, 거절된 호출에는 비용이 들지 않아요. 내용을 줄이거나 바꿔 "
        "다시 시도해 주세요.",
        en="The AI service can't handle this request as it is; a call it refuses costs nothing. Please shorten or "
        "change it and try again.",
    )


class ProviderTimeout(ProviderError):
    """No complete answer came within our own total deadline."""

    retryable = True
    sentence = Text(
        ko="AI 서비스가 제시간에 답하지 않았고, 비용이 들었을 수 있어요. 잠시 뒤 다시 시도해 주세요.",
        en="The AI service did not answer in time, though it may have cost something. Please try again in a moment.",
    )


class ProviderUnavailable(ProviderError):
    """The provider is down, overloaded or out of reach."""

    retryable = True
    sentence = Text(
        ko="AI 서비스가 지금 응답하지 못하는 상태이고, 비용이 조금 들었을 수 있어요. 잠시 뒤 다시 시도해 주세요.",
        en="The AI service is down or out of reach right now, though it may have cost a little. Please try again "
        "in a moment.",
    )


class ProviderNotReached(ProviderUnavailable):
    """No connection came about, so the request was never sent: it can't have cost anything."""

    sentence = Text(
        ko="AI 서비스에 연결할 수 없어 답하지 못했고, 이번 시도에는 비용이 들지 않았어요. 잠시 뒤 다시 시도해 주세요.",
        en="The AI service can't be reached, so there is no answer; nothing was sent, and this try cost nothing. "
        "Please try again in a moment.",
    )


class ProviderBadAnswer(ProviderError):
    """The provider's answer can't be understood: cut JSON, no content, an unknown shape."""

    retryable = True
    sentence = Text(
        ko="AI 서비스가 알아볼 수 없는 답을 보냈고, 비용이 들었을 수 있어요. 잠시 뒤 다시 시도해 주세요.",
        en="The AI service sent an answer that could not be read, which may have cost something. Please try again "
        "in a moment.",
    )


class PictureTooLarge(ProviderError):
    """The picture is finished but may not be attached where it was asked for."""

    sentence = Text(
        ko="그림은 완성돼 비용이 들었지만 이곳의 첨부 크기 제한보다 커서 보낼 수 없었어요. 다른 비율로 다시 "
        "시도해 주세요.",
        en="The picture is done and paid for, but larger than the attachment limit here. Please try again with "
        "another ratio.",
    )


class VideoTaskFailed(ProviderError):
    """The provider accepted a task, worked on it and failed: final for this task."""

    sentence = Text(
        ko="AI 서비스가 영상을 만들다 끝내지 못했고, 비용이 들었을 수 있어요. 설명을 바꾸거나 그대로 다시 시도해 "
        "주세요.",
        en="The AI service took this task but could not finish it, which may have cost something. Please try "
        "again, with other words perhaps.",
    )


class VideoUnknown(ProviderError):
    """A create call was cut off, so the task may exist and may be paid for; making it again might pay twice."""

    sentence = Text(
        ko="영상 요청 도중 연결이 끊겨 접수됐는지, 비용이 들었는지 알 수 없어요. 이중 결제를 막으려고 자동으로 "
        "다시 요청하지 않았으니, 원하면 아래 버튼을 눌러 주세요.",
        en="The connection broke while your video was being requested, so whether it was, and whether it cost "
        "anything, is unknown. To avoid paying twice it was not requested again; press the button below if you "
        "still want it.",
    )


class NoKeyAvailable(ProviderError):
    """No key of this instance may be used now: cooling, spent or rejected; `retry_after` says when one may."""

    retryable = True
    sentence = Text(
        ko="지금은 이 요청에 쓸 수 있는 AI 서비스 키가 없어 답하지 못했고, 이번 시도에는 비용이 들지 않았어요. "
        "1분쯤 뒤 다시 시도해 주세요.",
        en="The AI service's limit is reached for now, so there is no answer, and this try cost nothing. "
        "Please try again in a minute.",
    )
