// The page's own words, in both languages. The acting user's language decides, as in Discord.

const WORDS = {
  skip: ["입력창으로 건너뛰기", "Skip to the message box"],
  side: ["채널과 사용자", "Channels and users"], messages: ["메시지", "Messages"], panel: ["길과 스위치", "Way and switches"],
  server: ["서버", "Server"], dm: ["다이렉트 메시지", "Direct messages"], channels: ["어디에서", "Where"],
  general: ["일반", "general"], install: ["다른 서버 (사용자 설치)", "other server (user install)"],
  you: ["누구로", "Who you are"], home: ["담당 {0}", "home {0}"], homeLong: ["담당 인스턴스 {0}", "home instance {0}"],
  otherId: ["다른 사용자 ID", "another user id"], moderator: ["운영자", "moderator"], language: ["언어", "Language"],
  openSide: ["채널과 사용자 열기", "Open channels and users"], openPanel: ["길과 스위치 열기", "Open way and switches"],
  close: ["닫기", "Close"], app: ["앱", "APP"], used: ["님이 {0} 사용", " used {0}"], pressed: ["님이 버튼을 누름", " pressed a button"],
  submitted: ["님이 양식을 보냄", " sent a form"], thinking: ["생각 중…", "is thinking…"],
  onlyYou: ["회원님만 볼 수 있어요", "Only you can see this"], dismiss: ["메시지 닫기", "Dismiss message"],
  edited: ["(수정됨)", "(edited)"], failed: ["애플리케이션이 응답하지 않았어요", "The application did not respond"],
  gone: ["메시지가 삭제되었어요", "The message was deleted"],
  more: ["메시지 메뉴", "Message menu"], apps: ["앱", "Apps"], showWay: ["지나온 길 보기", "Show its way"], noApps: ["등록된 메시지 명령이 없어요", "No message commands are registered"],
  copy: ["글 복사", "Copy text"],
  write: ["메시지 보내기, 명령은 /", "Message, or / for commands"], commands: ["명령", "Commands"], send: ["보내기", "Send"], cancel: ["취소", "Cancel"],
  choose: ["선택", "Choose"], chooseFile: ["파일 고르기", "Choose a file"], optional: ["선택 항목", "Options"], required: ["{0}: 꼭 필요해요", "{0} is required"],
  notNumber: ["{0}: 숫자를 적어 주세요", "{0} has to be a number"], tooShort: ["{0}: {1}자 이상", "{0}: at least {1} characters"], tooLong: ["{0}: {1}자까지", "{0}: at most {1} characters"],
  yes: ["예 (True)", "True"], no: ["아니요 (False)", "False"], searching: ["찾는 중…", "Looking…"], nothing: ["맞는 것이 없어요", "Nothing found"],
  none: ["등록된 명령이 아직 없어요", "No commands are registered yet"], connected: ["연결됨", "connected"], offline: ["시뮬레이터와 끊겼어요. 다시 연결하는 중…", "The simulator is gone; reconnecting…"],
  empty: ["아직 아무 말도 없어요. / 를 눌러 명령을 써 보세요.", "Nothing here yet. Type / to use a command."],
  way: ["지나온 길", "Way"], switches: ["스위치", "Switches"], noWay: ["명령을 쓰면 여기에 지나온 길이 그려져요.", "Use a command, and its way is drawn here."],
  proxy: ["프록시", "Proxy"], instance: ["인스턴스", "Instance"], queue: ["대기열", "Queue"], key: ["키", "Key"], webhook: ["웹훅", "Webhook"],
  delivered: ["서명된 요청이 도착", "signed request delivered"], homeIs: ["담당은 {0}번", "home is #{0}"],
  ackedBy: ["{0}번이 받음: {1}", "#{0} accepted: {1}"], notAcked: ["받지 못함: {0}", "not accepted: {0}"],
  ranOn: ["{0}번이 처리", "#{0} did the work"], waited: ["{0} 대기", "waited {0}"], instant: ["바로 답함", "answered at once"], waiting: ["기다리는 중…", "waiting…"],
  because_home: ["담당이 처리", "its home"], noKey: ["부르지 않음", "not called"], calling: ["부르는 중…", "calling…"], callerGone: ["부른 쪽이 사라짐", "its caller is gone"],
  edits: ["수정 {0}번", "edits: {0}"], firstWord: ["첫 글자 {0}", "first word after {0}"], done: ["끝 {0}", "final after {0}"], refused: ["거절 {0}", "refused {0}"],
  posts: ["메시지 {0}개 더", "further messages: {0}"], deleted: ["삭제됨", "deleted"], took: ["모두 {0}", "{0} in all"], timeline: ["시간표", "Timeline"],
  instances: ["인스턴스", "Instances"], providers: ["공급자 고장", "Provider faults"], running: ["돌아감", "running"], off: ["꺼짐", "off"],
  kill: ["강제 종료", "Kill"], killLong: ["{0}번 강제 종료 (곧 다시 켜짐)", "Kill instance {0} (it is started again)"], power: ["{0}번 켜짐", "Instance {0} on"],
  noOperator: ["이 시뮬레이터에는 인스턴스 스위치가 없어요 (demo로 켜 주세요).", "This simulator has no switches for instances (start it by `demo`)."],
  fails: ["{0} 고장", "{0} fails"], how: ["{0}: 어떻게", "{0}: how"], whose: ["{0}: 누구의 키", "{0}: whose key"], allKeys: ["모든 키", "all keys"], hits: ["{0}번 맞음", "hits: {0}"],
  optionsOf: ["{0}개 더", "{0} more"], pick: ["고르세요", "Make a selection"], removeOption: ["{0} 빼기", "Remove {0}"], yourFile: ["첨부", "attachment"],
};

let language = "ko";
export const isKorean = () => language === "ko";
export function speak(locale) {
  language = locale.startsWith("ko") ? "ko" : "en";
  document.documentElement.lang = language;
}

export function t(name, ...values) {
  const found = WORDS[name];
  if (!found) throw new Error(`no word ${name}`);
  return found[language === "ko" ? 0 : 1].replace(/\{(\d)\}/g, (_, index) => values[Number(index)]);
}

// A name or description in the acting user's language: what Discord's client picks from the localizations.
export const named = (thing, locale) => thing.name_localizations?.[locale] || thing.name;
export const described = (thing, locale) => thing.description_localizations?.[locale] || thing.description || "";

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)}\u00a0ms`;
  return ms < 60000 ? `${(ms / 1000).toFixed(2)}\u00a0s` : `${Math.floor(ms / 60000)}\u00a0m\u00a0${Math.round((ms % 60000) / 1000)}\u00a0s`;
}
