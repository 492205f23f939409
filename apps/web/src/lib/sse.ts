import { createParser, type EventSourceMessage } from "eventsource-parser";

/** How long a stream may be silent; the server sends a comment every 15 seconds. */
export const IDLE_MS = 45_000;

/**
 * Reads server-sent events from a response's body, however its bytes are cut: within a line, within a character.
 * Ends where the body ends, or where nothing came for `idleMs`; an event that was cut off is not given.
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  idleMs: number = IDLE_MS,
): AsyncGenerator<EventSourceMessage> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const ready: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => ready.push(event) });
  try {
    for (;;) {
      const idle = setTimeout(() => void leave(reader), idleMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(idle));
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      yield* ready.splice(0);
    }
  } finally {
    void leave(reader);
  }
}

async function leave(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    await reader.cancel();
  } catch {
    // It has ended already.
  }
}
