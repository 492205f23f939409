import type { Answer, ChatClient } from "./client.js";
import { newId } from "./ids.js";
import { afterStep, NO_OPINION, namesIn, nextStep, type Opinion, type Step } from "./opinion.js";
import { isRetryable, messageOf } from "./problem.js";
import { read, readAll, type Saved, shelfKey, write } from "./shelf.js";

export interface FeedbackState {
  /** What is shown: at once what was clicked, and after a failure again what the server has. */
  opinion: Opinion;
  status: "idle" | "sending" | "saved" | "failed";
  error: string | null;
  canRetry: boolean;
}

/**
 * The feedback on one answer: one request at a time, the newest wish wins, and what could not be sent is kept.
 * Shared by all that show the same answer, also in other tabs.
 */
export class FeedbackStore {
  readonly #client: ChatClient;
  readonly #listeners = new Set<() => void>();
  #saved: Saved;
  #state: FeedbackState;
  #isSending = false;

  constructor(client: ChatClient, answer: Answer) {
    this.#client = client;
    this.#saved = read(answer) ?? fresh(answer);
    this.#state = shown(this.#saved, "idle");
    this.renew(answer);
  }

  /** Takes a newer token of the answer, as the one that is kept may have expired. */
  renew({ feedbackToken }: Answer): void {
    const { answer } = this.#saved;
    if (feedbackToken !== null && feedbackToken !== answer.feedbackToken)
      this.#saved = { ...this.#saved, answer: { ...answer, feedbackToken } };
  }

  readonly getState = (): FeedbackState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    if (this.#listeners.size === 0) {
      globalThis.addEventListener("storage", this.#hear);
      globalThis.addEventListener("online", this.retry);
      this.#catchUp();
      // What an earlier visit could not send.
      if (this.#state.status === "idle") void this.#send();
    }
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      globalThis.removeEventListener("storage", this.#hear);
      globalThis.removeEventListener("online", this.retry);
    };
  };

  /**
   * Changes what the person thinks.
   *
   * @param edit makes it of what was wanted before, which after a failure is not what is shown.
   */
  readonly change = (edit: (was: Opinion, shown: Opinion) => Opinion): void => {
    this.#catchUp();
    const { wanted: failed, confirmed } = this.#saved;
    const was = failed ?? confirmed;
    const wanted = edit(was, this.#state.opinion);
    // The same wish once more is another try of it.
    if (wanted !== was) this.#keep({ wanted, key: newId() });
    void this.#send();
  };

  /** Sends what failed once more. */
  readonly retry = (): void => {
    void this.#send();
  };

  async #send(): Promise<void> {
    const { wanted } = this.#saved;
    if (wanted === null) return;
    this.#show({ opinion: wanted, status: "sending", error: null, canRetry: false });
    // The one that is under way goes on with what is wanted now.
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      await this.#sendAll();
      this.#show(shown(this.#saved, "saved"));
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isSending = false;
    }
  }

  async #sendAll(): Promise<void> {
    for (;;) {
      const { wanted, confirmed, sent, unsure } = this.#saved;
      if (wanted === null) return;
      const step = nextStep(confirmed, wanted, sent, unsure);
      if (step === null) {
        this.#keep({ wanted: null });
        return;
      }
      try {
        await this.#sendStep(step, wanted);
      } catch (error) {
        // A refusal for good is of what was sent, and not of what is wanted since.
        if (isRetryable(error) || this.#saved.wanted === wanted) throw error;
      }
    }
  }

  async #sendStep(step: Step, wanted: Opinion): Promise<void> {
    const { answer, feedbackId, key, sent, unsure } = this.#saved;
    const names = namesIn(step);
    // Before the request: whether it arrived is not known until its answer does.
    this.#keep({ sent: union(sent, names), unsure: union(unsure, names) });
    // A token says itself whose feedback it is, and the person may have signed in since it was made.
    const isNeeded = this.#client.userId === undefined || answer.feedbackToken !== null;
    const input = {
      answer,
      feedbackId: isNeeded ? feedbackId : undefined,
      idempotencyKey: `${key}-${step.kind}`,
    };
    if (step.kind === "withdraw") {
      await this.#client.withdraw({ ...input, names });
      this.#keep({ sent: without(this.#saved.sent, names) });
    } else {
      await this.#client.submit({ ...input, ...step });
    }
    const confirmed = afterStep(this.#saved.confirmed, wanted, step);
    this.#keep({ confirmed, unsure: without(this.#saved.unsure, names) });
  }

  #fail(error: unknown): void {
    const canRetry = isRetryable(error);
    // What is refused for good is not sent again after a reload.
    if (!canRetry) this.#keep({ wanted: null });
    const { confirmed } = this.#saved;
    this.#show({ opinion: confirmed, status: "failed", error: messageOf(error), canRetry });
  }

  readonly #hear = (event: StorageEvent): void => {
    if (event.key !== shelfKey(this.#saved.answer) || this.#isSending) return;
    const saved = read(this.#saved.answer);
    if (saved === null) return;
    this.#take(saved);
  };

  /** Reads what another tab has said while this one was told nothing: not shown, or put to sleep. */
  #catchUp(): void {
    const saved = this.#isSending ? null : read(this.#saved.answer);
    if (saved !== null && saved.savedAt > this.#saved.savedAt) this.#take(saved);
  }

  #take(saved: Saved): void {
    const { answer } = this.#saved;
    this.#saved = { ...saved, answer };
    // Another tab sends what is wanted: here is shown what the server has.
    this.#show(shown({ ...saved, wanted: null }, "idle"));
  }

  #keep(change: Partial<Saved>): void {
    this.#saved = { ...this.#saved, ...change, savedAt: Date.now() };
    write(this.#saved);
  }

  #show(state: FeedbackState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

function fresh(answer: Answer): Saved {
  return {
    answer,
    feedbackId: newId(),
    confirmed: NO_OPINION,
    wanted: null,
    sent: [],
    unsure: [],
    key: newId(),
    savedAt: Date.now(),
  };
}

function union(some: readonly string[], more: readonly string[]): string[] {
  return [...new Set([...some, ...more])];
}

function without(some: readonly string[], others: readonly string[]): string[] {
  return some.filter((one) => !others.includes(one));
}

function shown(saved: Saved, status: FeedbackState["status"]): FeedbackState {
  return { opinion: saved.wanted ?? saved.confirmed, status, error: null, canRetry: false };
}

const STORES = new WeakMap<ChatClient, Map<string, FeedbackStore>>();

/** Gives the one store of an answer. */
export function storeFor(client: ChatClient, answer: Answer): FeedbackStore {
  const stores = STORES.get(client) ?? new Map<string, FeedbackStore>();
  STORES.set(client, stores);
  const store = stores.get(answer.clientRequestId) ?? new FeedbackStore(client, answer);
  stores.set(answer.clientRequestId, store);
  store.renew(answer);
  return store;
}

/** Sends what earlier visits could not, also for answers that are no longer on the page; call it at the start. */
export function sendUnsent(client: ChatClient): void {
  for (const saved of readAll(Date.now())) {
    if (saved.wanted !== null) storeFor(client, saved.answer).retry();
  }
}
