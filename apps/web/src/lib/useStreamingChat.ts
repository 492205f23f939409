import { useCallback, useEffect, useRef, useState } from "react";
import type { ChatClient } from "./client.js";
import { newId } from "./ids.js";
import { messageOf } from "./problem.js";
import { type StreamOptions, streamChat } from "./streamChat.js";

export interface StreamingState {
  /** What came so far. */
  streamingContent: string;
  isStreaming: boolean;
  /** The connection was lost, and is being made anew. */
  isReconnecting: boolean;
  /** There once the answer is complete. */
  traceId: string | null;
  clientRequestId: string | null;
  feedbackToken: string | null;
  error: string | null;
}

export interface StreamingChat extends StreamingState {
  /** Asks; gives the state at its end. A stream that is under way is left. */
  sendStreamingMessage: (message: string) => Promise<StreamingState>;
  /** Leaves the stream; what came so far stays. */
  stop: () => void;
}

const START: StreamingState = {
  streamingContent: "",
  isStreaming: false,
  isReconnecting: false,
  traceId: null,
  clientRequestId: null,
  feedbackToken: null,
  error: null,
};

/** Streams answers of the chat; each message begins with a state of its own. */
export function useStreamingChat(
  client: ChatClient,
  options: Pick<StreamOptions, "retryDelays" | "idleMs"> = {},
): StreamingChat {
  const [state, setState] = useState(START);
  const current = useRef<AbortController | null>(null);
  const latest = useRef(options);
  latest.current = options;

  const sendStreamingMessage = useCallback(
    async (message: string): Promise<StreamingState> => {
      current.current?.abort();
      const controller = new AbortController();
      const { signal } = controller;
      current.current = controller;
      const requestId = newId();
      let now: StreamingState = { ...START, isStreaming: true, clientRequestId: requestId };
      function become(change: Partial<StreamingState>): void {
        now = { ...now, ...change };
        // A stream that was left no longer says what is shown.
        if (current.current === controller) setState(now);
      }
      become({});
      try {
        const events = streamChat((lastId) => client.chatStream(message, requestId, lastId, signal), {
          ...latest.current,
          signal,
          onReconnecting: (isReconnecting) => become({ isReconnecting }),
        });
        for await (const event of events) {
          if (event.type === "token") become({ streamingContent: now.streamingContent + event.content });
          else if (event.type === "error") become({ error: event.error });
          else
            become({
              traceId: event.trace_id,
              clientRequestId: event.client_request_id,
              feedbackToken: event.feedback_token,
            });
        }
      } catch (error) {
        if (!signal.aborted) become({ error: messageOf(error) });
      }
      become({ isStreaming: false, isReconnecting: false });
      return now;
    },
    [client],
  );

  const stop = useCallback(() => current.current?.abort(), []);

  useEffect(
    () => () => {
      current.current?.abort();
      current.current = null;
    },
    [],
  );

  return { ...state, sendStreamingMessage, stop };
}
