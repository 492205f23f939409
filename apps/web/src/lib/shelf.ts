import type { Answer } from "./client.js";
import type { Opinion } from "./opinion.js";

/** What is kept of the feedback on one answer, so that neither it nor its id is lost by a reload. */
export interface Saved {
  answer: Answer;
  feedbackId: string;
  confirmed: Opinion;
  /** What is not acknowledged yet; null where nothing is left to send. */
  wanted: Opinion | null;
  /** Names that the server may have. */
  sent: string[];
  /** Names of requests that nobody has answered: what the server has of them is not known. */
  unsure: string[];
  /** The same for each try of what is wanted. */
  key: string;
  savedAt: number;
}

const PREFIX = "feedback.answer.";
const KEPT_MS = 30 * 24 * 3_600_000;

export function shelfKey(answer: Answer): string {
  return PREFIX + answer.clientRequestId;
}

export function read(answer: Answer): Saved | null {
  return parse(storage()?.getItem(shelfKey(answer)) ?? null);
}

/** Keeps it; a browser whose storage is full or off keeps it only as long as the page is open. */
export function write(saved: Saved): void {
  try {
    storage()?.setItem(shelfKey(saved.answer), JSON.stringify(saved));
  } catch {
    // As said above.
  }
}

/** Gives all that is kept, and removes what is a month old. */
export function readAll(now: number): Saved[] {
  const shelf = storage();
  if (shelf === null) return [];
  const keys = Array.from({ length: shelf.length }, (_, index) => shelf.key(index) ?? "");
  return keys
    .filter((key) => key.startsWith(PREFIX))
    .flatMap((key) => {
      const saved = parse(shelf.getItem(key));
      if (saved !== null && now - saved.savedAt < KEPT_MS) return [saved];
      shelf.removeItem(key);
      return [];
    });
}

function parse(text: string | null): Saved | null {
  try {
    const saved = JSON.parse(text ?? "null") as Saved | null;
    // What an older version of this page has kept has no word on what is unsure.
    return saved?.answer?.clientRequestId && saved.confirmed
      ? { ...saved, unsure: saved.unsure ?? [] }
      : null;
  } catch {
    return null;
  }
}

function storage(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
