import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Answer } from "./client.js";

/** A question with its answer. */
export interface Turn {
  id: string;
  question: string;
  answer: string;
  status: "waiting" | "done" | "stopped" | "failed";
  error: string | null;
  feedback: Answer | null;
}

export interface Transcript {
  turns: readonly Turn[];
  add: (id: string, question: string) => void;
  finish: (id: string, change: Partial<Turn>) => void;
  remove: (id: string) => void;
  clear: () => void;
}

const KEPT = 100;
const NONE: readonly Turn[] = [];

/** Where a conversation is kept: each user has their own, as somebody else may sign in in the same tab. */
export function placeOf(storageKey: string | null, userId: string | undefined): string | null {
  return storageKey && userId !== undefined ? `${storageKey}.${userId}` : storageKey;
}

/**
 * The conversation of this tab, which a reload keeps.
 *
 * @param storageKey where in `sessionStorage`; null keeps nothing.
 */
export function useTranscript(storageKey: string | null): Transcript {
  const [turns, setTurns] = useState<readonly Turn[]>(() => read(storageKey));
  const isInBrowser = useIsInBrowser();

  useEffect(() => write(storageKey, turns), [storageKey, turns]);

  const add = useCallback((id: string, question: string) => {
    const turn: Turn = { id, question, answer: "", status: "waiting", error: null, feedback: null };
    setTurns((were) => [...were, turn].slice(-KEPT));
  }, []);
  const finish = useCallback((id: string, change: Partial<Turn>) => {
    setTurns((were) => were.map((turn) => (turn.id === id ? { ...turn, ...change } : turn)));
  }, []);
  const remove = useCallback((id: string) => {
    setTurns((were) => were.filter((turn) => turn.id !== id));
  }, []);
  const clear = useCallback(() => setTurns([]), []);
  return { turns: isInBrowser ? turns : NONE, add, finish, remove, clear };
}

/** False on a server, and in the first drawing of what a server has drawn, which must be the same. */
function useIsInBrowser(): boolean {
  return useSyncExternalStore(
    () => () => undefined,
    () => true,
    () => false,
  );
}

function read(key: string | null): readonly Turn[] {
  try {
    const turns = JSON.parse((key && globalThis.sessionStorage.getItem(key)) || "[]") as Turn[];
    return turns.map((turn) => (turn.status === "waiting" ? interrupted(turn) : turn));
  } catch {
    return [];
  }
}

function interrupted(turn: Turn): Turn {
  return { ...turn, status: "failed", error: "The page was left before the answer was complete." };
}

function write(key: string | null, turns: readonly Turn[]): void {
  try {
    if (key) globalThis.sessionStorage.setItem(key, JSON.stringify(turns));
  } catch {
    // The conversation is not kept, then.
  }
}
