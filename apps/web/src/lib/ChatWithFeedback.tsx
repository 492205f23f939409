import { useEffect, useRef, useState } from "react";
import { type ChatLook, ChatPanel } from "./ChatPanel.js";
import type { ChatClient } from "./client.js";
import { newId } from "./ids.js";
import { messageOf } from "./problem.js";
import { placeOf, useTranscript } from "./useTranscript.js";

export interface ChatProps extends ChatLook {
  client: ChatClient;
  /** Where the tab keeps the conversation over a reload, for each kind of chat its own; null keeps nothing. */
  storageKey?: string | null;
}

/** A chat whose answers come whole (`POST /chat`), each with its feedback. */
export function ChatWithFeedback({ storageKey = "feedback.chat.whole", ...props }: ChatProps) {
  const place = placeOf(storageKey, props.client.userId);
  return <Chat key={place} {...props} storageKey={place} />;
}

function Chat({ client, storageKey = null, ...look }: ChatProps) {
  const { turns, add, finish, remove, clear } = useTranscript(storageKey);
  const [isBusy, setIsBusy] = useState(false);
  const current = useRef<AbortController | null>(null);

  useEffect(() => () => current.current?.abort(), []);

  async function ask(question: string): Promise<void> {
    const id = newId();
    add(id, question);
    setIsBusy(true);
    const controller = new AbortController();
    current.current = controller;
    try {
      const { response, ...feedback } = await client.chat(question, id, controller.signal);
      finish(id, { status: "done", answer: response, feedback });
    } catch (error) {
      finish(id, { status: "failed", error: messageOf(error) });
    } finally {
      setIsBusy(false);
    }
  }

  return (
    <ChatPanel
      {...look}
      client={client}
      turns={turns}
      isBusy={isBusy}
      onAsk={(question) => void ask(question)}
      onClear={clear}
      onRetry={(turn) => {
        remove(turn.id);
        void ask(turn.question);
      }}
    />
  );
}
