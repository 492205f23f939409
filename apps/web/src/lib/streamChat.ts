import { isRetryable, ProblemError } from "./problem.js";
import { readEvents } from "./sse.js";

export type ChatEvent =
  | { type: "token"; content: string }
  | { type: "done"; trace_id: string; client_request_id: string; feedback_token: string | null }
  | { type: "error"; error: string };

export interface StreamOptions {
  signal: AbortSignal;
  /** How long to wait before each further try; after the last one the stream is given up. */
  retryDelays?: readonly number[];
  idleMs?: number;
  /** Called when the connection is lost (true), and when events come again (false). */
  onReconnecting?: (isReconnecting: boolean) => void;
}

/** The server keeps an answer for some ten seconds for a client that lost its connection. */
const KEPT_MS = 10_000;
export const RETRY_DELAYS = [250, 500, 1_000, 2_000, 3_000] as const;

/** A stream that broke off and could not be picked up again. */
export class BrokenStreamError extends Error {
  constructor() {
    super("The connection was lost before the answer was complete.");
    this.name = "BrokenStreamError";
  }
}

/**
 * Gives the events of one answer, each once; a broken connection is made anew after the last event that came.
 *
 * @param connect asks for the answer, from its start or after the event with the given id.
 * @throws ProblemError where the server says no, BrokenStreamError where it said nothing at all.
 */
export async function* streamChat(
  connect: (lastEventId: string) => Promise<Response>,
  { signal, retryDelays = RETRY_DELAYS, idleMs, onReconnecting }: StreamOptions,
): AsyncGenerator<ChatEvent> {
  let lastId = "";
  let failures = 0;
  for (;;) {
    let failure: Error = new BrokenStreamError();
    try {
      const { body } = await connect(lastId);
      if (body === null) throw new TypeError("an answer without a body");
      for await (const message of readEvents(body, idleMs)) {
        if (isOld(message.id, lastId)) continue;
        lastId = message.id ?? lastId;
        if (failures > 0) onReconnecting?.(false);
        failures = 0;
        const event = parseEvent(message.data);
        if (event === null) continue;
        yield event;
        if (event.type !== "token") return;
      }
    } catch (error) {
      if (signal.aborted || !isRetryable(error)) throw error;
      if (error instanceof ProblemError) failure = error;
    }
    signal.throwIfAborted();
    const delay = delayAfter(failure, retryDelays[failures++]);
    if (delay === undefined) throw failure;
    onReconnecting?.(true);
    await sleep(delay, signal);
  }
}

/** How long to wait; no sooner than the server wants, and undefined where that is too late for the answer. */
function delayAfter(failure: Error, delay: number | undefined): number | undefined {
  const wanted = failure instanceof ProblemError ? (failure.retryAfter ?? 0) * 1_000 : 0;
  return delay === undefined || wanted > KEPT_MS ? undefined : Math.max(delay, wanted);
}

/** Whether an event came before: a server may send some again after a broken connection. */
function isOld(id: string | undefined, lastId: string): boolean {
  return id !== undefined && lastId !== "" && Number(id) <= Number(lastId);
}

function parseEvent(data: string): ChatEvent | null {
  try {
    const event = JSON.parse(data) as ChatEvent;
    // Types that a newer server may have are passed over.
    return ["token", "done", "error"].includes(event.type) ? event : null;
  } catch {
    return null;
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", leave);
      resolve();
    }, ms);
    function leave(): void {
      clearTimeout(timer);
      reject(signal.reason as Error);
    }
    signal.addEventListener("abort", leave, { once: true });
  });
}
