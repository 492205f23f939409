import { useCallback, useEffect, useRef, useState } from "react";
import { messageOf, ProblemError } from "../lib";
import type { Insights } from "./insights";
import { throttle } from "./throttle";

/** At most once a second after receipts, and by itself so that the time axis goes on. */
const AFTER_RECEIPT_MS = 1_000;
const BY_ITSELF_MS = 30_000;
const LONGEST_MS = 20_000;

export interface LiveInsights {
  insights: Insights | null;
  error: string | null;
  /** Whether receipts come live right now. */
  isLive: boolean;
  refresh: () => void;
}

/** What came in during the last minutes, kept up to date by the stream of receipts. */
export function useInsights(minutes: number): LiveInsights {
  const [insights, setInsights] = useState<Insights | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isLive, setIsLive] = useState(false);
  const asked = useRef<AbortController | null>(null);

  const load = useCallback(async (): Promise<void> => {
    asked.current?.abort();
    const controller = new AbortController();
    asked.current = controller;
    const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(LONGEST_MS)]);
    try {
      const response = await fetch(`/v1/insights?minutes=${minutes}`, { signal });
      if (!response.ok) throw new ProblemError(response.status, `The server answered ${response.status}.`);
      setInsights((await response.json()) as Insights);
      setError(null);
    } catch (failure) {
      if (!controller.signal.aborted) setError(messageOf(failure));
    } finally {
      if (asked.current === controller) asked.current = null;
    }
  }, [minutes]);

  useEffect(() => {
    let isWanted = false;
    // One at a time: what takes longer than the next receipt to come would otherwise never come to its end.
    async function look(): Promise<void> {
      isWanted = true;
      if (asked.current !== null) return;
      while (isWanted) {
        isWanted = false;
        await load();
      }
    }
    const soon = throttle(() => void look(), AFTER_RECEIPT_MS);
    soon();
    const timer = setInterval(soon, BY_ITSELF_MS);
    const stream = new EventSource("/v1/insights/stream");
    stream.addEventListener("receipt", () => {
      soon();
      // The service sums up at most once a second too: what it gave at once may be from just before.
      soon();
    });
    stream.addEventListener("open", () => {
      setIsLive(true);
      // Receipts that were missed meanwhile.
      soon();
    });
    stream.addEventListener("error", () => setIsLive(false));
    return () => {
      isWanted = false;
      soon.cancel();
      clearInterval(timer);
      stream.close();
      asked.current?.abort();
      asked.current = null;
    };
  }, [load]);

  return { insights, error, isLive, refresh: () => void load() };
}
