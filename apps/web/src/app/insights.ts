export interface Bucket {
  at: string;
  positive: number;
  negative: number;
}

export interface Segment {
  key: string | null;
  positive: number;
  negative: number;
}

export interface NegativeComment {
  at: string;
  comment: string;
  name: string;
  value: unknown;
  trace_id: string | null;
  client_request_id: string | null;
  app_version: string | null;
  region: string | null;
  mlflow_url: string | null;
}

/** What `GET /v1/insights` answers. */
export interface Insights {
  now: string;
  minutes: number;
  total: number;
  /** Where there was more than is summed up: how many that is, the newest. */
  newest_only: number | null;
  positive: number;
  negative: number;
  rate: number | null;
  over_time: Bucket[];
  by_version: Segment[];
  by_region: Segment[];
  comments: NegativeComment[];
}

/** The share of positive ones, from 0 to 1; null where nobody has judged. */
export function rateOf({ positive, negative }: { positive: number; negative: number }): number | null {
  const judged = positive + negative;
  return judged === 0 ? null : positive / judged;
}

const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const PERCENT_FINE = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const COUNT = new Intl.NumberFormat();

export function percent(rate: number | null): string {
  return rate === null ? "–" : PERCENT.format(rate);
}

export function finePercent(rate: number | null): string {
  return rate === null ? "–" : PERCENT_FINE.format(rate);
}

export function count(value: number): string {
  return COUNT.format(value);
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY_TIME = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});
const DAY_MINUTES = 24 * 60;

export function timeLabel(at: string, minutes: number): string {
  return (minutes > DAY_MINUTES ? DAY_TIME : TIME).format(new Date(at));
}

const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** Says how long before `now` something was. */
export function ago(at: string, now: string): string {
  const seconds = Math.max(0, (Date.parse(now) - Date.parse(at)) / 1_000);
  const found = UNITS.find(([, size]) => seconds >= size);
  return found ? AGO.format(-Math.floor(seconds / found[1]), found[0]) : "just now";
}
