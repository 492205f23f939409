import { ChatPanel } from "./ChatPanel.js";
import type { ChatProps } from "./ChatWithFeedback.js";
import { completed } from "./client.js";
import { newId } from "./ids.js";
import { type StreamingState, useStreamingChat } from "./useStreamingChat.js";
import { placeOf, type Turn, useTranscript } from "./useTranscript.js";

/** A chat whose answers come word by word (`POST /chat/stream`), each with its feedback once it is complete. */
export function StreamingChatWithFeedback({ storageKey = "feedback.chat", ...props }: ChatProps) {
  const place = placeOf(storageKey, props.client.userId);
  return <Chat key={place} {...props} storageKey={place} />;
}

function Chat({ client, storageKey = null, ...look }: ChatProps) {
  const { turns, add, finish, remove, clear } = useTranscript(storageKey);
  const stream = useStreamingChat(client);
  const { isStreaming, isReconnecting, streamingContent, sendStreamingMessage, stop } = stream;

  async function ask(question: string): Promise<void> {
    const id = newId();
    add(id, question);
    finish(id, endOf(await sendStreamingMessage(question)));
  }

  const shown = turns.map((turn) =>
    isStreaming && turn.status === "waiting" ? { ...turn, answer: streamingContent } : turn,
  );
  return (
    <ChatPanel
      {...look}
      client={client}
      turns={shown}
      isBusy={isStreaming}
      isReconnecting={isReconnecting}
      onAsk={(question) => void ask(question)}
      onStop={stop}
      onClear={clear}
      onRetry={(turn) => {
        remove(turn.id);
        void ask(turn.question);
      }}
    />
  );
}

function endOf(state: StreamingState): Partial<Turn> {
  const { streamingContent: answer, error } = state;
  if (error !== null) return { answer, error, status: "failed" };
  const feedback = completed(state);
  return { answer, feedback, status: feedback === null ? "stopped" : "done" };
}
