// A colour for each rule, the same every time: warm for what is known by its
// looks, violet for bans and blocks, blue and green for limits.

const RULES = {
  signature: "#d9534a",
  options: "#e58a3c",
  oversize: "#b5713c",
  banned: "#8d63c9",
  blocked: "#6b6f8f",
  closed: "#a03a5b",
  auth: "#c65fa8",
  harvest: "#d88fc0",
  rate_source: "#3f8fc4",
  rate_method: "#4fb0a5",
  rate_subnet: "#2f6f9f",
  rate_strangers: "#6aa84f",
  rate_verified: "#91b64a",
  rate_auth: "#5a74d8",
  greylist: "#9aa79f",
  fanout: "#c9a227",
  syn_rate: "#77b6d9",
  stealth: "#7d8f69",
  fragment_stranger: "#a58b6f",
  trusted_cps: "#d2b04c",
  stranger: "#6fa88f",
  verified: "#2f8f6f",
  trusted: "#1f6f5c",
};

const OTHERS = ["#7f9c96", "#a3896b", "#7c86ad", "#a77f97", "#8d9a5b"];

export const OTHER = "#a9b1ac";

export function ofRule(name) {
  if (RULES[name]) return RULES[name];
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 997;
  return OTHERS[sum % OTHERS.length];
}

export const REPLIES = {
  "1xx": "#8fb3c4",
  "2xx": "#3f9f7a",
  "3xx": "#b49a4c",
  "4xx": "#e58a3c",
  "5xx": "#d9534a",
  "6xx": "#a03a5b",
  requests: "#7c86ad",
};
