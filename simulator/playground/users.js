// The people one can be. Ids are real in form: above 2^53, so they stay strings and are counted with BigInt.

const MEMBER = ((1n << 10n) | (1n << 11n) | (1n << 14n) | (1n << 15n) | (1n << 16n) | (1n << 31n)).toString();
const MODERATOR = (BigInt(MEMBER) | (1n << 13n) | (1n << 5n)).toString(); // Manage Messages, Manage Server
const COLOURS = ["#f23f43", "#f0b232", "#23a55a", "#00a8fc", "#eb459e", "#9b84ec"];

export const USERS = [
  { id: "218437562098745344", ko: "하나", en: "Hana" },
  { id: "349120857731284993", ko: "두리", en: "Duri" },
  { id: "472859104466137090", ko: "세나", en: "Sena" },
  { id: "598213377490165763", ko: "네모", en: "Nemo" },
  { id: "611205548329017344", ko: "미나", en: "Mina", moderator: true },
];

export const homeOf = (id, count) => Number(BigInt(id) % BigInt(count)) + 1;
export const isId = (text) => /^[1-9]\d{0,19}$/.test(text) && BigInt(text) < 1n << 64n;
export const colourOf = (id) => COLOURS[Number(BigInt(id) % BigInt(COLOURS.length))];
export const permissionsOf = (id) => (USERS.find((user) => user.id === id)?.moderator ? MODERATOR : MEMBER);

export function nameOf(id, korean) {
  const known = USERS.find((user) => user.id === id);
  return known ? known[korean ? "ko" : "en"] : `User ${id.slice(-6)}`;
}
