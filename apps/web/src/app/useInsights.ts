import { useCallback, useEffect, useRef, useState } from "react";
import { messageOf } from "../lib";
import { jsonOf, toProblem } from "../lib/problem";
import type { Insights } from "./insights";
import { throttle } from "./throttle";

/** At most once a second after receipts, and by itself so that the time axis goes on. */
const AFTER_RECEIPT_MS = 1_000;
const BY_ITSELF_MS = 30_000;
const LONGEST_MS = 20_000;

export interface LiveInsights {
  insights: Insights | null;
  error: string | null;
  /** Whether receipts come live right now; "off" where the service has refused it. */
  live: "connecting" | "live" | "off";
  refresh: () => void;
}

/** What came in during the last minutes, kept up to date by the stream of receipts. */
export function useInsights(minutes: number): LiveInsights {
  const [insights, setInsights] = useState<Insights | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [live, setLive] = useState<LiveInsights["live"]>("connecting");
  const asked = useRef<AbortController | null>(null);
  const again = useRef(() => {});

  /** Gives whether they came. */
  const load = useCallback(async (): Promise<boolean> => {
    asked.current?.abort();
    const controller = new AbortController();
    asked.current = controller;
    const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(LONGEST_MS)]);
    try {
      const response = await fetch(`/v1/insights?minutes=${minutes}`, { signal });
      if (!response.ok) throw await toProblem(response);
      setInsights((await jsonOf(response)) as Insights);
      setError(null);
      return true;
    } catch (failure) {
      if (!controller.signal.aborted) setError(messageOf(failure));
      return false;
    } finally {
      if (asked.current === controller) asked.current = null;
    }
  }, [minutes]);

  useEffect(() => {
    let isWanted = false;
    let isOver = false;
    // One at a time: what takes longer than the next receipt to come would otherwise never come to its end.
    async function look(): Promise<void> {
      isWanted = true;
      if (asked.current !== null) return;
      while (isWanted) {
        isWanted = false;
        // A stream that was refused is not asked for again by the browser.
        const isAnswered = await load();
        if (isAnswered && !isOver && stream.readyState === EventSource.CLOSED) stream = listen();
      }
    }
    function listen(): EventSource {
      const opened = new EventSource("/v1/insights/stream");
      opened.addEventListener("receipt", () => {
        soon();
        // The service sums up at most once a second too: what it gave at once may be from just before.
        soon();
      });
      opened.addEventListener("open", () => {
        setLive("live");
        // Receipts that were missed meanwhile.
        soon();
      });
      opened.addEventListener("error", () =>
        setLive(opened.readyState === EventSource.CLOSED ? "off" : "connecting"),
      );
      return opened;
    }
    const soon = throttle(() => void look(), AFTER_RECEIPT_MS);
    again.current = soon;
    let stream = listen();
    soon();
    const timer = setInterval(soon, BY_ITSELF_MS);
    return () => {
      isWanted = false;
      isOver = true;
      soon.cancel();
      clearInterval(timer);
      stream.close();
      asked.current?.abort();
      asked.current = null;
    };
  }, [load]);

  return { insights, error, live, refresh: () => again.current() };
}
