import { useMemo, useSyncExternalStore } from "react";
import { type ChatClient, completed, type PartialAnswer } from "./client.js";
import { type FeedbackState, storeFor } from "./feedbackStore.js";
import { NO_OPINION } from "./opinion.js";

const NOTHING: FeedbackState = { opinion: NO_OPINION, status: "idle", error: null, canRetry: false };

export interface Feedback extends FeedbackState {
  /** True where somebody has said something that can be taken back. */
  canUndo: boolean;
  /** A thumb; another one than before takes the comment away, as it was about the other. */
  rate: (isCorrect: boolean) => void;
  comment: (text: string) => void;
  /** From 1 to 5. */
  rateDimension: (dimension: string, rating: number) => void;
  /** Takes back all that was said about this answer. */
  undo: () => void;
  retry: () => void;
}

/** The feedback on one answer; does nothing as long as there is no answer with its ids. */
export function useFeedback(client: ChatClient, answer: PartialAnswer | null): Feedback {
  const complete = completed(answer);
  const store = complete && storeFor(client, complete);
  const state = useSyncExternalStore(
    store?.subscribe ?? noSubscription,
    store?.getState ?? nothing,
    // A server knows nothing of what the browser keeps, and the first drawing here must be the server's.
    nothing,
  );
  const actions = useMemo(
    () => ({
      rate: (isCorrect: boolean) =>
        store?.change((was) => (was.thumbs === isCorrect ? was : { ...was, thumbs: isCorrect, comment: "" })),
      comment: (text: string) =>
        // It is about the thumb that is shown, also where another one has failed.
        store?.change((was, { thumbs }) =>
          thumbs === null ? was : { ...was, thumbs, comment: text.trim() },
        ),
      rateDimension: (dimension: string, rating: number) =>
        store?.change((was) => ({ ...was, ratings: { ...was.ratings, [dimension]: rating } })),
      undo: () => store?.change(() => NO_OPINION),
      retry: () => store?.retry(),
    }),
    [store],
  );
  const { thumbs, ratings } = state.opinion;
  return { ...state, ...actions, canUndo: thumbs !== null || Object.keys(ratings).length > 0 };
}

function noSubscription(): () => void {
  return () => undefined;
}

function nothing(): FeedbackState {
  return NOTHING;
}
