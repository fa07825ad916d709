// The page's words in both languages, and how it writes numbers and times. The browser's language decides.

const WORDS = {
  skip: ["내용으로 건너뛰기", "Skip to the content"],
  title: ["Quartet 현황", "Quartet dashboard"],
  connecting: ["연결하는 중…", "Connecting…"],
  live: ["실시간", "Live"],
  lost: ["{0}부터 연결이 끊겼어요. 다시 연결하는 중…", "Not connected since {0}. Trying again…"],
  never: ["아직 연결하지 못했어요. 다시 시도하는 중…", "Not connected yet. Trying again…"],
  trouble: ["저장소를 읽을 수 없어요 ({0}부터): {1}", "The store can't be read (since {0}): {1}"],
  paused: ["보이지 않는 동안 멈췄어요", "Paused while out of sight"],
  served: ["{0} 기준 · {1}번이 알려 줌 · 버전 {2} · 배정 {3}", "as of {0} · told by #{1} · version {2} · routing by {3}"],
  notices: ["살펴볼 일", "What to look at"],
  allWell: ["모두 정상이에요.", "All is well."],
  instances: ["인스턴스와 키", "Instances and their keys"],
  answers: ["분마다 답한 수, 지난 한 시간", "Answers a minute, over the last hour"],
  elsewhere: ["담당이 아닌 곳에서 처리한 까닭", "Why jobs were served elsewhere"],
  users: ["담당별 사용자, 지난 한 시간", "Users by home, last hour"],
  budget: ["오늘 쓴 양", "Used today"],
  faults: ["답하지 못한 작업, 지난 한 시간", "Jobs without an answer, last hour"],
  noFaults: ["지난 한 시간 동안 없었어요.", "There were none in the last hour."],
  noElsewhere: ["지난 한 시간 동안 모두 담당이 처리했어요.", "In the last hour every home served its own."],
  partial: ["작업이 많아 {0} 이후의 것만 세었어요.", "There are many jobs: only those since {0} are counted."],
  up: ["켜짐", "up"], down: ["꺼짐", "down"], draining: ["마무리 중", "draining"], starting: ["준비 중", "starting"],
  fInstances: ["켜진 인스턴스", "instances up"], fRunning: ["처리 중", "running"], fWaiting: ["대기 중", "waiting"],
  fOldest: ["가장 오래 기다린 작업 {0}", "the oldest for {0}"], fHour: ["지난 한 시간 답변", "answers, last hour"],
  fMedian: ["답까지 걸린 시간, 중앙값", "to the answer, median"], f95: ["95 %는 {0} 안에", "95 % within {0}"],
  fAck: ["“생각 중…”까지, 99 %", "to “thinking…”, 99 %"], fAckSlowest: ["지난 1분, 가장 느린 인스턴스", "last minute, the slowest instance"],
  fUsers: ["지난 한 시간 사용자", "users, last hour"], fToday: ["오늘 끝낸 작업", "done today"], utc: ["UTC 날짜 기준", "the budget's day"],
  ofSlots: ["자리 {0}개 중", "of {0} slots"], perMinute: ["방금 1분 {0}개", "{0} in the last full minute"], failedHour: ["실패 {0}", "{0} failed"],
  running: ["처리 중", "running"], ofHome: ["담당 사용자의 작업", "its users' jobs"], ofHomeValue: ["대기 {0}, 처리 중 {1}", "{0} waiting, {1} running"], ack: ["“생각 중…”까지", "to “thinking…”"], upFor: ["켜진 시간", "up for"],
  done: ["오늘 끝냄", "done today"], beat: ["마지막 신호", "last beat"], version: ["버전", "version"], ago: ["{0} 전", "{0} ago"], neverSeen: ["없음", "never"],
  ackValue: ["{0} / {1} ({2}개)", "{0} / {1} ({2})"], none: ["–", "–"],
  keyMinute: ["{0} / {1} (1분)", "{0} / {1} a minute"], keyDay: ["{0} / {1} (하루)", "{0} / {1} today"], keyFree: ["{0} (1분, 한도 없음)", "{0} a minute, no limit"],
  keyChart: ["{0} 키, {1}번: {2}. 지난 한 시간 {3}번 호출, 가장 많은 때 {4}에 {5}번.", "{0} key of #{1}: {2}. {3} calls in the last hour, most at {4}: {5}."],
  keyIdle: ["{0} 키, {1}번: {2}. 지난 한 시간 호출 없음.", "{0} key of #{1}: {2}. No calls in the last hour."],
  cooling: ["쉬는 중 {0}", "cooling {0}"], spent: ["크레딧 없음 {0}", "no credit {0}"], dead: ["거부됨 {0}", "rejected {0}"], resting: ["기다림 {0}", "waits {0}"],
  scale: ["위 끝 {0}", "up to {0}"],
  inFlight: ["진행 {0}", "{0} in flight"],
  atHome: ["담당이 답함", "answered at home"], atElsewhere: ["다른 곳이 답함", "answered elsewhere"], failed: ["답하지 못함", "no answer"],
  answersChart: ["지난 한 시간 답변 {0}개, 그중 {1}개는 다른 곳에서, 답하지 못한 것 {2}개. 가장 많은 때 {3}에 {4}개.", "{0} answers in the last hour, {1} of them elsewhere; {2} jobs without an answer. Most at {3}: {4}."],
  readout: ["{0}: 담당 {1}, 다른 곳 {2}, 실패 {3}", "{0}: {1} at home, {2} elsewhere, {3} failed"],
  keyReadout: ["{0}: {1}번", "{0}: {1}"], keyReadoutDay: ["{0}: 하루 {1}번째까지", "{0}: {1} of the day"],
  minute: ["분", "minute"], table: ["표로 보기", "As a table"], minutesAgo: ["{0}분 전", "{0} min ago"], now: ["지금", "now"],
  reason: ["까닭", "reason"], jobs: ["작업", "jobs"], home: ["담당", "home"], userCount: ["사용자", "users"], kind: ["종류", "kind"], share: ["비율", "share"], used: ["쓴 양 / 한도", "used / limit"],
  home_busy: ["담당이 바쁨", "home was busy"], home_spent: ["담당의 키가 쉼", "home's key was resting"], home_down: ["담당이 꺼짐", "home was down"], recovered: ["꺼진 곳의 일을 이어받음", "recovered after a crash"],
  chat: ["채팅", "chat"], image: ["이미지", "image"], video: ["비디오", "video"],
  when: ["때", "when"], where: ["담당 → 처리", "home → served by"], outcome: ["결과", "outcome"], error: ["오류", "error"], reference: ["참조 번호", "reference"],
  refused: ["거절", "refused"], failedJob: ["실패", "failed"], expired: ["시간이 지남", "expired"], undeliverable: ["전하지 못함", "undeliverable"],
  nDown: ["{0}번이 {1}부터 꺼져 있어요.", "#{0} is down since {1}."], nUnseen: ["{0}번이 한 번도 켜지지 않았어요.", "#{0} was never up."],
  nDraining: ["{0}번이 마무리하는 중이에요.", "#{0} is draining."], nStarting: ["{0}번이 준비하는 중이에요.", "#{0} is starting."],
  nKey_cooling: ["{1}번의 {0} 키가 한도에 걸려 쉬고 있어요.", "The {0} key of #{1} was told to rest."], nKey_spent: ["{1}번의 {0} 키에 크레딧이 없어요.", "The {0} key of #{1} is out of credit."],
  nKey_dead: ["{1}번의 {0} 키를 공급자가 거부해요. 바꿔 주세요.", "The {0} key of #{1} is rejected: replace it."], nKey_day: ["{1}번의 {0} 키를 오늘 다 썼어요.", "The {0} key of #{1} is used up for today."],
  nOldest: ["30초 넘게 기다리는 작업이 있어요.", "A job has been waiting for more than 30 s."], nVersions: ["버전이 섞여 있어요: {0}", "The versions differ: {0}"],
  nBudget: ["오늘 {0} 한도를 다 썼어요.", "Today's limit for {0} is used up."], nAck: ["{0}번의 응답이 느려요 (“생각 중…”까지 1초 넘음).", "#{0} is slow: more than 1 s to “thinking…”."],
};

export const language = /^ko\b/i.test(navigator.language || "") ? "ko" : "en";
const column = language === "ko" ? 0 : 1;

export function t(name, ...values) {
  const word = WORDS[name]?.[column] ?? name;
  return word.replace(/\{(\d)\}/g, (_, index) => String(values[Number(index)]));
}

const whole = new Intl.NumberFormat(language);
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const number = (value) => whole.format(value);
export const timeOf = (seconds) => clock.format(new Date(seconds * 1000));
export const minuteOf = (seconds) => minute.format(new Date(seconds * 1000));

// Seconds in as few characters as still say something.
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return t("none");
  const units = language === "ko" ? ["ms", "초", "분", "시간", "일"] : ["ms", "s", "min", "h", "d"];
  const gap = language === "ko" ? "" : " ";
  if (seconds < 0.1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ${units[0]}`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}${gap}${units[1]}`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(seconds < 600 ? 1 : 0)}${gap}${units[2]}`;
  if (seconds < 86400) return `${(seconds / 3600).toFixed(1)}${gap}${units[3]}`;
  return `${(seconds / 86400).toFixed(1)}${gap}${units[4]}`;
}

const PROVIDERS = { openai: "OpenAI", stability: "Stability", minimax: "MiniMax" };
export const providerName = (name) => PROVIDERS[name] || name;

export const sum = (values) => values.reduce((total, value) => total + value, 0);
